package gate

import (
	"errors"
	"fmt"
	"testing"

	"sealift.dev/verify"
)

// TestAnswer: a registry that is away, or a policy that cannot be applied, refuses nothing.
func TestAnswer(t *testing.T) {
	for reason, refused := range map[verify.Reason]bool{
		verify.NotSigned: true, verify.Untrusted: true, verify.NoPolicy: true, verify.AttestationMissing: true, verify.Revoked: true,
		verify.NotFound: true, verify.Malformed: true, verify.Unavailable: false, verify.InvalidPolicy: false,
	} {
		_, err := Answer(verify.Verified{}, fmt.Errorf("checking: %w", &verify.Refusal{Reason: reason}))
		if err == nil || errors.Is(err, ErrRefused) != refused {
			t.Errorf("%s: %v", reason, err)
		}
	}
	if _, err := Answer(verify.Verified{}, errors.New("the disk is full")); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("another error: %v", err)
	}
}
