package synchronizer

import (
	"errors"
	"strings"
	"testing"

	godigest "github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
)

func TestAccept(t *testing.T) {
	const repo, other = "registry.example.com/deploy/shop", "registry.example.com/deploy/blog"
	mark := func(repository string, epoch, sequence int64, digest, revision string) Watermark {
		return Watermark{
			Repository: repository,
			Epoch:      epoch,
			Sequence:   sequence,
			Digest:     godigest.FromString(digest),
			Revision:   revision,
		}
	}
	long := strings.Repeat("b", 4000) + "@sha1:"
	seven := mark(repo, 1, 7, "a", "main@sha1:a")
	tests := []struct {
		name          string
		highest, next Watermark
		pinned        bool
		want          Watermark
		err           error
	}{
		{"the first release", Watermark{Repository: repo}, seven, false, seven, nil},
		{"the same again", seven, seven, false, seven, nil},
		{"a newer one", seven, mark(repo, 1, 8, "b", "main@sha1:b"), false, mark(repo, 1, 8, "b", "main@sha1:b"), nil},
		{"an older one", seven, mark(repo, 1, 6, "b", "main@sha1:b"), false, seven, ErrDowngrade},
		{"an older one, pinned", seven, mark(repo, 1, 6, "b", "main@sha1:b"), true, seven, nil},
		{"a newer one, pinned", seven, mark(repo, 1, 9, "b", "main@sha1:b"), true, mark(repo, 1, 9, "b", "main@sha1:b"), nil},
		{"a new epoch starts low", seven, mark(repo, 2, 1, "b", "main@sha1:b"), false, mark(repo, 2, 1, "b", "main@sha1:b"), nil},
		{"an old epoch counts less", mark(repo, 2, 1, "b", "main@sha1:b"), seven, false, mark(repo, 2, 1, "b", "main@sha1:b"), ErrDowngrade},
		{"another commit with the same sequence", seven, mark(repo, 1, 7, "b", "main@sha1:b"), false, seven, ErrEquivocation},
		{"the same commit packed again", seven, mark(repo, 1, 7, "b", "main@sha1:a"), false, mark(repo, 1, 7, "b", "main@sha1:a"), nil},
		{"the same commit of a long branch", mark(repo, 1, 7, "a", short(long+"a")), mark(repo, 1, 7, "b", long+"a"), false, mark(repo, 1, 7, "b", long+"a"), nil},
		{"another commit of a long branch", mark(repo, 1, 7, "a", long+"a"), mark(repo, 1, 7, "b", short(long+"b")), false, mark(repo, 1, 7, "a", long+"a"), ErrEquivocation},
		{"another repository starts anew", seven, mark(other, 1, 2, "b", "main@sha1:b"), false, mark(other, 1, 2, "b", "main@sha1:b"), nil},
		{"an artifact without a statement after a release", seven, mark(repo, 0, 0, "b", ""), false, seven, ErrDowngrade},
		{"artifacts without statements follow the tag", mark(repo, 0, 0, "a", "x"), mark(repo, 0, 0, "b", "y"), false, mark(repo, 0, 0, "b", "y"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := accept(tt.highest, tt.next, tt.pinned)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if got != tt.want {
				t.Errorf("highest %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestWatermarkIsBounded: what a release says as its revision does not fill what tenants
// share.
func TestWatermarkIsBounded(t *testing.T) {
	w := watermarkOf("registry.example.com/deploy/shop", artifact.Ref{}, artifact.Statement{Revision: strings.Repeat("b", 4000)})
	if len(w.Revision) > 256 {
		t.Errorf("%d bytes of a revision are kept", len(w.Revision))
	}
}
