package automator

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"sealift.dev/internal/giturl"
)

// maxBackoff is the longest time between two passes over a repository that fail, where the
// interval is not longer.
const maxBackoff = 10 * time.Minute

// gather is the least time between two passes: hints that come together make one.
const gather = time.Second

// Pass is what a Fleet reports of one pass.
type Pass struct {
	Repo   string
	Branch string // that the automator was made for; empty: the one that the repository names
	Result Result
	Err    error
	Start  time.Time
	Took   time.Duration
}

// Fleet keeps many repositories from one process. A bad repository does not stop the others.
type Fleet struct {
	members []member
}

type member struct {
	automator *Automator
	wake      chan struct{} // holds one hint: more of them before the next pass are the same
}

// NewFleet makes a fleet. Its automators are run by the fleet alone.
func NewFleet(automators ...*Automator) *Fleet {
	f := &Fleet{}
	for _, a := range automators {
		f.members = append(f.members, member{automator: a, wake: make(chan struct{}, 1)})
	}
	return f
}

// Hint says what a notification spoke about: a repository of images, or a Git repository, by
// its URL or by its path alone. Automators that are concerned look at once; Hint itself
// returns at once, and reports whether any is.
func (f *Fleet) Hint(image, git string) bool {
	any := false
	for _, m := range f.members {
		if image != "" && m.automator.Hint(image) || git != "" && sameGit(m.automator.opts.Repo, git) {
			any = true
			select {
			case m.wake <- struct{}{}:
			default: // it is awake
			}
		}
	}
	return any
}

// sameGit says that a notification may be about a repository. The two may be read by different
// protocols, so that scheme and port say nothing.
func sameGit(repo, told string) bool {
	repo, told = hostPath(repo), hostPath(told)
	return told != "" && (repo == told || strings.HasSuffix(repo, "/"+told))
}

// hostPath is HOST/PATH of a Git URL, or just a path.
func hostPath(address string) string {
	_, after, ok := strings.Cut(giturl.Normalize(address), "://")
	if !ok {
		return strings.ToLower(strings.Trim(giturl.Normalize(address), "/"))
	}
	host, path, _ := strings.Cut(after, "/")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host + "/" + path)
}

// Watch makes passes until ctx is done: one at once, then every interval, with jitter, when a
// hint came, and when a refusal may have ended by itself. No more than atOnce repositories are
// worked on at a time. Each outcome goes to report, from several goroutines; an error does not
// end the watch, but makes the next pass over that repository later.
func (f *Fleet) Watch(ctx context.Context, interval time.Duration, atOnce int, report func(Pass)) {
	places := make(chan struct{}, max(1, atOnce))
	var group sync.WaitGroup
	for _, m := range f.members {
		group.Go(func() { m.watch(ctx, interval, places, report) })
	}
	group.Wait()
}

func (m member) watch(ctx context.Context, interval time.Duration, places chan struct{}, report func(Pass)) {
	defer m.automator.Close()
	failed := 0
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		pass := Pass{Repo: m.automator.opts.Repo, Branch: m.automator.opts.Branch, Start: time.Now()}
		pass.Result, pass.Err = m.automator.Run(ctx)
		pass.Took = time.Since(pass.Start)
		<-places
		if ctx.Err() != nil && !pass.Result.Pushed {
			return
		}
		report(pass)
		failed++
		if pass.Err == nil || len(pass.Result.Images) > 0 {
			failed = 0 // one image that cannot be listed is no reason to neglect the others
		}
		if !m.rest(ctx, pause(interval, failed, pass.Result.until(), time.Now())) {
			return
		}
	}
}

// rest waits for the next pass; false: there is none.
func (m member) rest(ctx context.Context, d time.Duration) bool {
	short := time.NewTimer(min(d, gather))
	defer short.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-short.C:
	}
	timer := time.NewTimer(max(0, d-gather))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-m.wake:
	case <-timer.C:
	}
	return true
}

// pause is the time to the next pass: the interval with up to a tenth of it as jitter, less
// where a refusal ends before, and more the more often passes failed.
func pause(interval time.Duration, failed int, until, now time.Time) time.Duration {
	d := interval
	for range failed {
		if d *= 2; d > max(interval, maxBackoff) {
			d = max(interval, maxBackoff)
			break
		}
	}
	if failed == 0 && until.After(now) {
		d = min(d, until.Sub(now))
	}
	return d + rand.N(d/10+1)
}

// until is when the first of the refusals may end; zero: none does by itself.
func (r Result) until() time.Time {
	var times []time.Time
	for _, image := range r.Images {
		if !image.Until.IsZero() {
			times = append(times, image.Until)
		}
	}
	if len(times) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(times, time.Time.Compare)
}
