package controller

import (
	"cmp"
	"context"
	"maps"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
)

// memory is a Delivery's state: its status, and the acceptance records.
type memory struct {
	r *reconciler
	// repository is the source's.
	repository string

	mu sync.Mutex
	// d is as the API server has it, with what was begun besides.
	d        *v1alpha1.Delivery
	accepted watermarks
	// renewed says that the attempt at what is held is a new one, and not saved so far.
	renewed bool
	late    *time.Timer
	over    bool
}

// remember reads the acceptance record of d.
func (r *reconciler) remember(ctx context.Context, d *v1alpha1.Delivery, asked synchronizer.Delivery) (*memory, error) {
	m := &memory{r: r, d: d, repository: asked.Source.Repository.String()}
	if q := d.Status.Quarantined; q != nil && (asked.Requested != d.Status.LastHandledReconcileAt ||
		asked.Untailored == nil && asked.Tailored != q.Tailored) {
		d.Status.Quarantined, d.Status.Attempted = nil, nil // a person asks to try again, or something else
	}
	if asked.Requested != d.Status.LastHandledReconcileAt && gaveUp(d) {
		d.Status.Attempted.Since, m.renewed = ptr.To(metav1.Now()), true // the same, of what is held
	}
	known, err := r.accepted.of(ctx, client.ObjectKeyFromObject(d))
	m.accepted = known.marks
	return m, err
}

// gaveUp says that a release failed after something of it was written, and stays
// as it is.
func gaveUp(d *v1alpha1.Delivery) bool {
	attempted := d.Status.Attempted
	return attempted != nil && attempted.Since != nil && meta.IsStatusConditionFalse(d.Status.Conditions, v1alpha1.ConditionReady)
}

// State is the status, with the higher of two watermarks where there are two.
func (m *memory) State() synchronizer.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	status := m.d.Status
	state := synchronizer.State{Kinds: kindsOf(status.Kinds), Confirmed: status.Confirmed, Accepted: maps.Clone(m.accepted)}
	if w := status.Accepted; w != nil {
		stored := synchronizer.Watermark{
			Repository: w.Repository,
			Epoch:      w.Epoch,
			Sequence:   w.Sequence,
			Digest:     digest.Digest(w.Digest),
			Revision:   w.Revision,
		}
		if known, found := state.Accepted[w.Repository]; !found || known.Below(stored) {
			state.Accepted[w.Repository] = stored
		}
	}
	if status.Awaiting != nil {
		state.AwaitedOf = status.Awaiting.Of
	}
	if status.Applied != nil {
		state.Applied, state.Tailored = m.appliedRef(status.Applied), status.Applied.Tailored
	}
	if status.Attempted != nil && status.Attempted.Since != nil {
		state.Attempted = digest.Digest(status.Attempted.Digest)
		state.Irreversible = status.Attempted.Irreversible
		state.Attempt, state.Renewed = status.Attempted.Since.UTC().Format(time.RFC3339), m.renewed
	}
	if status.Quarantined != nil {
		state.Quarantined, state.Cause = digest.Digest(status.Quarantined.Digest), status.Quarantined.Cause
	}
	return state
}

// appliedRef is where the applied release was read from, which may be another
// repository than the source's by now.
func (m *memory) appliedRef(r *v1alpha1.Release) artifact.Ref {
	repository, err := artifact.ParseRepository(cmp.Or(r.Repository, m.repository))
	if err != nil {
		return artifact.Ref{}
	}
	return repository.At(digest.Digest(r.Digest))
}

// Begin saves i beside what was accepted, so that a crash leaves no orphan and never
// accepts something older: many Deliveries share that write. What a person may have to
// decide about is in the status before the first write.
func (m *memory) Begin(ctx context.Context, i synchronizer.Intent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := client.ObjectKeyFromObject(m.d)
	stored, err := m.r.stored(ctx, name)
	if err != nil {
		return err
	}
	status := begun(m.d, i)
	value := record{marks: m.accepted, begun: beginningOf(stored, status, i, time.Now())}
	if w := i.Accepted; w != (synchronizer.Watermark{}) {
		value.marks = maps.Clone(m.accepted)
		value.marks[w.Repository] = w
	}
	if err := m.r.accepted.save(ctx, name, value); err != nil {
		return err
	}
	m.accepted, m.renewed = value.marks, false
	if i.Confirm != nil || len(i.Irreversible) > 0 {
		return m.r.write(ctx, m.d, status)
	}
	m.d.Status = status
	m.late = time.AfterFunc(tellAfter, func() { m.tell(ctx) })
	return nil
}

// tell writes the status of a pass that takes long.
func (m *memory) tell(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.over {
		_ = m.r.write(ctx, m.d, m.d.Status) // where it fails, the end of the pass writes it
	}
}

// end is the end of the pass: nothing is told by itself any more.
func (m *memory) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	if m.late != nil {
		m.late.Stop()
	}
}
