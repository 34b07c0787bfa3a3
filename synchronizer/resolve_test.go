package synchronizer

import (
	"errors"
	"testing"

	"sealift.dev/artifact"
)

func TestHighest(t *testing.T) {
	tags := []string{"main", "1.2.0", "v1.10.0", "1.9.9", "2.0.0-rc.1", "2.0.0", "1.2", "sha256-abc.sig", "latest"}
	tests := []struct {
		rng, want string
		err       error
	}{
		{"^1.2", "v1.10.0", nil},
		{">=1.0.0 <1.10.0", "1.9.9", nil},
		{"*", "2.0.0", nil},
		{">=2.0.0-0 <2.0.0", "2.0.0-rc.1", nil},
		{">=3", "", artifact.ErrNotFound},
	}
	for _, tt := range tests {
		got, err := highest(tags, tt.rng)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("highest(%q) = %q, %v; want %q, %v", tt.rng, got, err, tt.want, tt.err)
		}
	}
	if _, err := highest(tags, "not a range"); err == nil {
		t.Error("a range that does not parse was accepted")
	}
}
