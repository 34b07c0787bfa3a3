package hostile

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
)

// numbered is a vector of a release's sequence.
func numbered(name, sequence string) vector {
	return vector{name, func(w *world, hostile bool) {
		w.annotations[artifact.AnnotationSequence] = pick(hostile, sequence, "8")
		w.publish()
	}, "verify", "Malformed", "is no number from 1", false, ""}
}

func TestOrder(t *testing.T) {
	odd := []vector{
		numbered("sequence -1", "-1"),
		numbered("sequence 1e9", "1e9"),
		numbered("sequence with a blank", " 8"),
		numbered("sequence 007", "007"),
		numbered("sequence 2^64", "18446744073709551616"),
	}
	runAll(t, Order, odd, "tag moved back", "equal sequence from another commit")
	const other = "main@sha1:0000000000000000000000000000000000000000"
	for name, c := range map[string]struct{ bad, good, text string }{
		"tag moved back":                     {"6", "8", "older than a release accepted before"},
		"equal sequence from another commit": {"7", "8", "both have sequence 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sequence := range []string{c.bad, c.good} {
				w := newWorld(t)
				w.publish()
				p := newPuller(w)
				if code, told := p.pull(); code != 0 {
					t.Fatalf("the first release: %s", told)
				}
				before := p.state()
				w.annotations[artifact.AnnotationSequence], w.annotations[ocispec.AnnotationRevision] = sequence, other
				w.publish()
				code, told := p.pull()
				if refused := sequence == c.bad; refused != (code == 3 && strings.Contains(told, c.text) && p.state() == before) {
					t.Errorf("sequence %s: exit code %d: %s", sequence, code, told)
				}
			}
		})
	}
}
