package synchronizer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/synchronizer/engine"
)

// errFailedBefore is a release whose SyncFail hooks an earlier process ran.
var errFailedBefore = errors.New("the release failed, and its SyncFail hooks ran")

// failing is a release that failed for good while its SyncFail hooks run.
type failing struct {
	release artifact.Ref
	err     error
	since   time.Time
}

// await says until when what Apply could not write yet is awaited; the rest of the
// release has not been looked at.
func (s *Synchronizer) await(ctx context.Context, d Delivery, target engine.Target, memo *memo, out *Outcome) error {
	health, err := s.engine.Health(ctx, target)
	if err != nil {
		return err
	}
	health.Unhealthy = slices.DeleteFunc(health.Unhealthy, func(o engine.ObjectHealth) bool {
		return o.Status == "NotFound"
	})
	out.Health = health
	out.Waited = memo.unhealthy.look(out.Running.Ref, wrote(out.Report))
	if out.Waited < d.Timeout {
		out.Deadline = time.Now().Add(d.Timeout - out.Waited)
		return nil
	}
	return fmt.Errorf("%w: after %s, %s", ErrUnhealthy, d.Timeout, out.Report.Awaits)
}

// wrote says that a pass changed something that may take time to become healthy.
func wrote(r engine.Report) bool { return len(r.Created)+len(r.Updated)+len(r.Ran) > 0 }

// lament runs the SyncFail hooks of a release that failed for good with err. It
// says whether they are over: then the release may be given up.
func (s *Synchronizer) lament(ctx context.Context, d Delivery, plan *engine.Plan, memo *memo, out *Outcome, err error) bool {
	if memo.failing.release != out.Running.Ref || memo.failing.err == nil {
		memo.failing = failing{release: out.Running.Ref, err: err, since: time.Now()}
	}
	report, broken := s.engine.Fail(ctx, plan)
	out.Report.Ran = append(out.Report.Ran, report.Ran...)
	end := memo.failing.since.Add(d.Timeout)
	if broken == nil && report.Awaits != "" && time.Now().Before(end) {
		out.Deadline = end
		return false
	}
	memo.failing = failing{}
	return true
}

// failed is why a release that goes back is not applied again: its SyncFail hooks
// were run, and it waits for their end.
func (m *memo) failed(l *loaded, plan *engine.Plan) error {
	switch {
	case m.failing.err != nil && m.failing.release == l.release.Ref:
		return m.failing.err
	case plan.Failing():
		return at(Apply, errFailedBefore)
	}
	return nil
}
