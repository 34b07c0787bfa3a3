package test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

var update = flag.Bool("update", false, "write what the tests print into the documents that hold it")

// identity is what signs: a key, or a workflow's token.
type identity struct {
	name    string
	keyType string // of "sealift keys generate"; empty: keyless
}

func identities() []identity {
	return []identity{{"ECDSA P-256", "ecdsa-p256"}, {"Ed25519", "ed25519"}, {"RSA 3072", "rsa-3072"}, {"keyless", ""}}
}

// way is one way of signing. Its arguments end before those that say with what, and the reference.
type way struct {
	name    string
	program string
	keyed   []string // nil: not with a key
	keyless []string // nil: not without
}

// ways are the commands of docs/trust.md.
func ways() []way {
	return []way{
		{name: "sealift", program: "sealift", keyed: []string{}, keyless: []string{}},
		{name: "cosign 3.1.3", program: "cosign3", keyed: []string{"--signing-config", "signing-config.json"}, keyless: []string{}},
		{name: "cosign 3.1.3, legacy", program: "cosign3", keyed: []string{"--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false"}},
		{name: "cosign 2.6.5", program: "cosign2", keyed: []string{"--tlog-upload=false"}},
		{name: "cosign 2.6.5, bundle", program: "cosign2", keyed: []string{"--tlog-upload=false", "--new-bundle-format"}, keyless: []string{"--new-bundle-format"}},
	}
}

func verifiers() []string { return []string{"sealift", "cosign 3.1.3", "cosign 2.6.5"} }

// refusal is a cell that does not work, and why.
type refusal struct {
	keyTypes  []string
	signers   []string
	verifiers []string // empty: signing itself fails
	says      string   // what the error holds
	note      string   // for docs/trust.md
}

// refusals are the cells that do not work, on either registry.
func refusals() []refusal {
	return []refusal{
		{
			keyTypes: []string{"ed25519"}, signers: []string{"cosign 3.1.3", "cosign 3.1.3, legacy", "cosign 2.6.5", "cosign 2.6.5, bundle"},
			verifiers: []string{"cosign 3.1.3", "cosign 2.6.5"}, says: "failed to verify signature",
			note: "cosign signs with Ed25519ph and verifies plain Ed25519: it refuses its own signatures (\"failed to verify signature\").",
		},
		{
			keyTypes: []string{""}, signers: []string{"cosign 2.6.5, bundle"}, says: "invalid type, must be hashedrekord",
			note: "cosign 2.6.5 cannot sign: Rekor v2.3 refuses the kind of entry that it sends (\"invalid type, must be hashedrekord\").",
		},
	}
}

// refused finds the refusal of a cell; nil: it has to be accepted.
func refused(id identity, w way, verifier string) *refusal {
	for _, r := range refusals() {
		if slices.Contains(r.keyTypes, id.keyType) && slices.Contains(r.signers, w.name) &&
			(len(r.verifiers) == 0 || slices.Contains(r.verifiers, verifier)) {
			return &r
		}
	}
	return nil
}

// cell is one signature, given to one verifier.
type cell struct {
	id       identity
	way      way
	registry string
	verifier string
	err      error // of the verifier; nil: accepted
}

// TestRoundTrips signs with every identity in every way on registries with and without the
// referrers API, and gives each signature to every verifier, all of it offline. Whatever is
// accepted is refused for another key or identity, and on another artifact.
func TestRoundTrips(t *testing.T) {
	bin, err := parts.Ensure(t.Context(), os.Stderr, append(stage.SigstoreParts(), "cosign2", "cosign3", "registry")...)
	must(t, err)
	distribution, err := stage.StartDistribution(t.Context(), bin, t.TempDir(), stage.DistributionOptions{})
	must(t, err)
	t.Cleanup(distribution.Stop)
	withAPI, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true})
	must(t, err)
	t.Cleanup(func() { withAPI.Close() })
	r := newCosignRig(t, bin)

	var mu sync.Mutex
	var cells []cell
	var group errgroup.Group
	group.SetLimit(3)
	for registry, host := range map[string]string{"referrers API": withAPI.Host, "referrers tag": distribution.Host} {
		for _, id := range identities() {
			for _, w := range ways() {
				if id.keyType != "" && w.keyed == nil || id.keyType == "" && w.keyless == nil {
					continue
				}
				group.Go(func() error {
					made, err := r.roundTrip(trip{id: id, way: w, registry: registry, host: host})
					mu.Lock()
					defer mu.Unlock()
					cells = append(cells, made...)
					if err != nil {
						t.Errorf("%s, signed by %s, %s: %v", id.name, w.name, registry, err)
					}
					return nil
				})
			}
		}
	}
	must(t, group.Wait()) // the functions give no errors
	for _, c := range cells {
		c.check(t)
	}
	holdTable(t, filepath.Join("..", "docs", "trust.md"), "round trips", table(cells))
}

// check compares the cell with what refusals say of it.
func (c cell) check(t *testing.T) {
	t.Helper()
	name := fmt.Sprintf("%s, signed by %s, verified by %s, %s", c.id.name, c.way.name, c.verifier, c.registry)
	want := refused(c.id, c.way, c.verifier)
	switch {
	case want == nil && c.err != nil:
		t.Errorf("%s: refused: %v", name, c.err)
	case want != nil && c.err == nil:
		t.Errorf("%s: accepted, want %q", name, want.says)
	case want != nil && !strings.Contains(c.err.Error(), want.says):
		t.Errorf("%s: refused with %v, want %q", name, c.err, want.says)
	}
}

// trip is one signature on its way.
type trip struct {
	id       identity
	way      way
	registry string // as the table calls it
	host     string
}

// roundTrip signs once and asks every verifier.
func (r *cosignRig) roundTrip(t trip) ([]cell, error) {
	var cells []cell
	s, unsigned := r.sign(t)
	for _, verifier := range verifiers() {
		c := cell{id: t.id, way: t.way, registry: t.registry, verifier: verifier}
		if c.err = unsigned; unsigned == nil {
			c.err = r.verify(verifier, s.ref, s.by)
		}
		cells = append(cells, c)
		if c.err != nil {
			continue
		}
		if err := distrusted(verifier, r.verify(verifier, s.ref, s.another)); err != nil {
			return cells, fmt.Errorf("%s, asked for %s, which signed nothing: %w", verifier, s.another.name(), err)
		}
		if err := distrusted(verifier, r.verify(verifier, s.other, s.by)); err != nil {
			return cells, fmt.Errorf("%s, asked of another artifact: %w", verifier, err)
		}
	}
	return cells, nil
}

// distrusted is nil if a verifier's answer is that nothing there counts.
func distrusted(verifier string, answer error) error {
	switch {
	case answer == nil:
		return errors.New("it accepts")
	case verifier == "sealift" && exitCode(answer) == 3, verifier != "sealift" && strings.Contains(answer.Error(), "no matching "):
		return nil
	}
	return answer
}
