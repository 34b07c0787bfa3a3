package publisher_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

// attester attaches one statement.
type attester struct{ registry *artifact.Registry }

const attestation = "application/vnd.example.statement"

func (a attester) Attest(ctx context.Context, ref artifact.Ref, b publisher.Build) (bool, error) {
	found, err := a.registry.Referrers(ctx, ref, attestation, 10)
	if err != nil || len(found) > 0 {
		return false, err
	}
	about := fmt.Sprint(b.Statement.Revision, b.Contents.Environments, b.Config, b.Sources)
	_, err = a.registry.Attach(ctx, ref, attestation, artifact.Blob{MediaType: attestation, Data: []byte(about)}, nil)
	return err == nil, err
}

// TestInterruptedWrites lets each write fail in turn, once for good and once for a
// moment. What tags lead to is signed and attested; publishing again converges.
func TestInterruptedWrites(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		for _, forGood := range []bool{true, false} {
			t.Run(fmt.Sprintf("referrers API %v, for good %v", referrers, forGood), func(t *testing.T) {
				fails := 1
				for ; interrupt(t, referrers, forGood, fails); fails++ {
				}
				if fails < 10 {
					t.Errorf("publishing takes %d writes", fails-1)
				}
			})
		}
	}
}

// interrupt lets the nth write fail. It says whether there was one.
func interrupt(t *testing.T, referrers, forGood bool, nth int) bool {
	w := newWorldWith(t, referrers)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	o.Attester = attester{w.registry}
	n := 0
	w.fault = func(r *http.Request) int {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return 0
		}
		if n++; n == nth || forGood && n > nth {
			return http.StatusBadRequest // which nobody tries again
		}
		return 0
	}
	_, err := publisher.Publish(t.Context(), o)
	w.fault = nil
	if err == nil {
		return n >= nth
	}
	for _, tag := range []string{"main", "0.0.1"} {
		ref, missing := w.registry.Resolve(t.Context(), w.repository(), tag)
		if missing != nil {
			continue
		}
		found, err := w.registry.Referrers(t.Context(), ref, attestation, 10)
		if verified := o.Verifier.Verify(t.Context(), ref); err != nil || len(found) != 1 || verified != nil {
			t.Errorf("write %d failed, and %s leads to something with %d attestations, %v, %v", nth, tag, len(found), err, verified)
		}
	}
	if r := w.publish(o); r.State != publisher.Published || !slices.Equal(r.Tags, []string{"0.0.1", "main"}) || w.at("main") != r.Digest {
		t.Errorf("published again after write %d failed: %+v", nth, r)
	}
	if r := w.publish(o); r.State != publisher.Unchanged {
		t.Errorf("published again after write %d failed, something is left: %+v", nth, r)
	}
	return true
}

// TestRaces lets publishers of several commits start at once, many times.
func TestRaces(t *testing.T) {
	const commits, rounds = 3, 60
	w := newWorld(t)
	var o []publisher.Options
	base := w.as()
	for range rounds {
		o = nil
		for range commits {
			one := base
			one.Rev, one.Ref = w.commit("prod/a.yaml", configMap, "x", fmt.Sprint(len(o), rounds)), "refs/heads/main"
			o = append(o, one)
		}
		results := make([]publisher.Result, commits)
		errs := make([]error, commits)
		var all sync.WaitGroup
		for i := range o {
			all.Go(func() { results[i], errs[i] = publisher.Publish(t.Context(), o[i]) })
		}
		all.Wait()
		for i, err := range errs {
			if err != nil {
				t.Fatalf("publisher %d: %v", i, err)
			}
		}
		newest := results[commits-1]
		if at := w.at("main"); at != newest.Digest {
			t.Fatalf("main is at %s after %+v", at, results)
		}
	}
}

// TestOvertaken plays the one order of events in which the newer publisher is done
// before the older one moves the channel.
func TestOvertaken(t *testing.T) {
	w := newWorld(t)
	first := w.commit("prod/a.yaml", configMap)
	w.commit("prod/b.yaml", deployment)
	newer := w.as()
	older := newer
	older.Rev, older.Ref = first, "refs/heads/main"
	var r publisher.Result
	older.Registry = hooked{w.registry, func(tag string) {
		if tag == "main" && r.Digest == "" {
			r = w.publish(newer)
		}
	}, func(string) {}}
	if o := w.publish(older); w.at("main") != r.Digest || o.Superseded != r.Reference || !slices.Equal(o.Tags, []string{"0.0.1"}) {
		t.Errorf("%+v, main at %s", o, w.at("main"))
	}
}
