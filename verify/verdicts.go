package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"k8s.io/utils/lru"
)

const defaultVerdicts = 1024

// verdicts remembers passes, never refusals, nor what a policy in Audit mode would have
// refused: what is missing today may come.
type verdicts struct{ passes *lru.Cache }

func newVerdicts(size int) *verdicts {
	switch {
	case size < 0:
		return &verdicts{}
	case size == 0:
		size = defaultVerdicts
	}
	return &verdicts{passes: lru.New(size)}
}

// key tells one question from another: what is asked of, by whom, under which
// policies, and held against which root.
func (v *verdicts) key(q question, rules []*rule, rootID string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q", q.kind, q.ref, q.as.Namespace, rootID)
	for _, rule := range rules {
		h.Write(rule.fingerprint[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (v *verdicts) get(key string, now time.Time) (Verified, bool) {
	if v.passes == nil {
		return Verified{}, false
	}
	known, ok := v.passes.Get(key)
	if !ok {
		return Verified{}, false
	}
	verified := known.(Verified)
	if !verified.until.IsZero() && !now.Before(verified.until) {
		v.passes.Remove(key)
		return Verified{}, false
	}
	return verified, true
}

func (v *verdicts) add(key string, verified Verified) {
	if v.passes != nil {
		v.passes.Add(key, verified)
	}
}
