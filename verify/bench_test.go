package verify_test

import (
	"testing"

	"sealift.dev/verify"
)

// Verdicts with everything read from a registry in process, and remembered ones.
func BenchmarkRelease(b *testing.B) {
	i, key := newInstance(b), ecdsaKey(b)
	for _, c := range []struct {
		name     string
		verdicts int
		named    verify.NamedPolicy
	}{
		{"keyed", -1, trust(b, key)}, {"keyless", -1, byIdentity()},
		{"keyed, remembered", 0, trust(b, key)}, {"keyless, remembered", 0, byIdentity()},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, false)
			w.ref = w.release("shop", statement(w, nil))
			w.attach(key.bundle(b, statementOf(w.ref.Digest)))
			w.attach(i.sign(ci(), statementOf(w.ref.Digest), witnesses{}))
			v, err := verify.New(verify.Options{TrustedRoot: i.root(), Verdicts: c.verdicts})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Release(b.Context(), w.registry, w.ref, []verify.NamedPolicy{c.named}, verify.Claim{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
