package synchronizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrHeld is a failed release that stays, because it did what applying the last good
// one would not undo.
var ErrHeld = errors.New("held where it failed")

// givesUp says that a failed release is given up for the last good one.
func givesUp(d Delivery, l *loaded, state State) bool {
	return goesBack(d, l, state) && (d.Irreversible || len(state.Irreversible) == 0)
}

// held says of a release that failed for good whether it stays nevertheless, and why.
func held(d Delivery, l *loaded, state State, err error) error {
	if !goesBack(d, l, state) || givesUp(d, l, state) {
		return err
	}
	return fmt.Errorf("%w: %w; going back would not undo that it %s; hint: publish a release that mends it, or set spec.irreversible to Rollback",
		ErrHeld, err, strings.Join(state.Irreversible, ", "))
}

// done are the irreversible acts of an attempt at l: those of earlier passes, and
// those that this one is about to do.
func done(l *loaded, state State, acts []string) []string {
	if l.release.Ref.Digest == state.Applied.Digest {
		return nil
	}
	var all []string
	if l.release.Ref.Digest == state.Attempted {
		all = slices.Clone(state.Irreversible)
	}
	for _, act := range acts {
		if len(all) < maxActs && !slices.Contains(all, act) {
			all = append(all, act)
		}
	}
	return all
}

// maxActs bounds how many irreversible acts of a release are remembered.
const maxActs = 20
