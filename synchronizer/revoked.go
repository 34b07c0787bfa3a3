package synchronizer

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"sealift.dev/verify"
)

// ErrTrustRevoked is a running release that is no longer trusted. It is left as it
// is: nothing is applied, healed or pruned until it is trusted again, or a release
// that is trusted takes its place.
var ErrTrustRevoked = errors.New("what runs is no longer trusted, and is left as it is")

// keepError is a refused release while the last good one cannot be kept, either.
// What counts is the refusal.
type keepError struct{ cause, lost error }

func (e *keepError) Error() string {
	return fmt.Sprintf("%v; and the last good release cannot be kept: %v", e.cause, e.lost)
}
func (e *keepError) Unwrap() error { return e.cause }

// keptFrom is the error of a pass: err kept it from the wanted release, and lost,
// which may be nil, from the last good one. Where nothing is kept because what runs
// is no longer trusted, that matters most.
func keptFrom(state State, out Outcome, err, lost error) error {
	if out.Running == nil {
		switch {
		case revokes(state, lost) && lost.Error() != err.Error():
			return fmt.Errorf("%w: %w; and the release that the source names cannot take its place: %v", ErrTrustRevoked, lost, err)
		case revokes(state, err):
			return fmt.Errorf("%w: %w", ErrTrustRevoked, err)
		}
	}
	if lost != nil && lost.Error() != err.Error() {
		return &keepError{cause: err, lost: lost}
	}
	return err
}

// revokes says that err refuses what runs. That it could not be found out whether it
// is trusted is no refusal.
func revokes(state State, err error) bool {
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) || undecided(err) {
		return false
	}
	refused := refusal.Ref.Digest
	return refused != "" && (refused == state.Applied.Digest || refused == state.Attempted)
}

// undecided says that whether a release is trusted could not be found out.
func undecided(err error) bool {
	var refusal *verify.Refusal
	var busy *busyError
	return errors.As(err, &busy) || errors.As(err, &refusal) && (refusal.Reason == verify.Unavailable || refusal.Reason == verify.NotFound)
}

// unlessNew is before where err is the same in other words: a refusal may tell the
// time or how old something is, and a broken connection the port that it was made
// from. A pass that finds nothing new has no news.
func unlessNew(before, err error) error {
	var one, two *verify.Refusal
	if errors.As(before, &one) && errors.As(err, &two) {
		if one.Reason == two.Reason && one.Ref == two.Ref && one.Policy == two.Policy && one.Rule == two.Rule {
			return before
		}
		return err
	}
	if before != nil && err != nil && withoutPort(before) == withoutPort(err) {
		return before
	}
	return err
}

// withoutPort is err without the end of the connection that is new each time.
func withoutPort(err error) string {
	var broken *net.OpError
	if errors.As(err, &broken) && broken.Source != nil {
		return strings.ReplaceAll(err.Error(), broken.Source.String()+"->", "")
	}
	return err.Error()
}
