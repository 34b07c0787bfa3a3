package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sealift.dev/internal/render"
)

// parallel is how many releases are pushed, and how many images are asked for, at once.
const parallel = 8

// Batch says how several releases are published together.
type Batch struct {
	Parallel int // how many are pushed at once; 0: 8
	// Done is told after each release, by one goroutine at a time; nil: nobody.
	Done func(r Result)
}

// batch is what releases that are published together share.
type batch struct {
	commits map[place]commit
	pins    *pins
}

func newBatch() *batch { return &batch{commits: map[place]commit{}, pins: newPins()} }

// PublishAll publishes releases as Plan gives them, several at once. There is a result
// for each, in their order; the error joins those of all that failed. One that fails
// keeps no other from being published.
func PublishAll(ctx context.Context, releases []Options, how Batch) ([]Result, error) {
	l := ledger{done: how.Done, results: make([]Result, len(releases)), errs: make([]error, len(releases))}
	b := newBatch()
	drafts := make(chan func())
	var workers sync.WaitGroup
	if how.Parallel == 0 {
		how.Parallel = parallel
	}
	for range min(how.Parallel, len(releases)) {
		workers.Go(func() {
			for publish := range drafts {
				publish()
			}
		})
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for i, o := range releases {
		// Rendering is not for two goroutines; what follows is.
		d, err := b.draft(ctx, o.withDefaults())
		if err != nil {
			l.record(i, o, Result{}, err)
		} else {
			drafts <- func() {
				r, err := b.publish(ctx, d)
				l.record(i, o, r, err)
			}
		}
		if why := cause(ctx, err); why != nil {
			stop() // what runs away takes more and more until the process ends
			l.abandon(releases, i+1, why)
			break
		}
	}
	close(drafts)
	workers.Wait()
	return l.results, errors.Join(l.errs...)
}

// cause is why no further release is to be begun; nil: there is no reason.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, render.ErrRunaway) {
		return err
	}
	return ctx.Err()
}

// ledger keeps what became of each release.
type ledger struct {
	mu      sync.Mutex
	done    func(Result)
	results []Result
	errs    []error
}

func (l *ledger) record(i int, o Options, r Result, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		r = Result{State: Failed, Repository: o.To.String(), Error: err.Error()}
		l.errs[i] = fmt.Errorf("publishing to %s: %w", o.To, err)
	}
	l.results[i] = r
	if l.done != nil {
		l.done(r)
	}
}

// abandon records the releases from the one at i on as not begun, with one error for
// all of them.
func (l *ledger) abandon(releases []Options, i int, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i == len(releases) {
		return
	}
	for j := i; j < len(releases); j++ {
		l.results[j] = Result{State: Failed, Repository: releases[j].To.String(), Error: "not begun"}
	}
	l.errs[i] = fmt.Errorf("%d releases were not begun: %w", len(releases)-i, why)
}
