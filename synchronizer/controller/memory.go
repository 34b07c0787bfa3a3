package controller

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
)

// memory is a Delivery's state: its status, and a ConfigMap of the controller's
// namespace that outlives the Delivery.
type memory struct {
	r      *reconciler
	d      *v1alpha1.Delivery
	record *record
	// repository is the source's.
	repository string
}

// record is what a Delivery has accepted, by the repository of which releases say to be.
type record struct {
	configMap *corev1.ConfigMap // nil until something is accepted
	accepted  map[string]synchronizer.Watermark
}

// remember reads the acceptance record of d, once a process.
func (r *reconciler) remember(ctx context.Context, d *v1alpha1.Delivery, asked synchronizer.Delivery) (*memory, error) {
	m := &memory{r: r, d: d, repository: asked.Source.Repository.String()}
	if q := d.Status.Quarantined; q != nil && (asked.Requested != d.Status.LastHandledReconcileAt ||
		asked.Untailored == nil && asked.Tailored != q.Tailored) {
		d.Status.Quarantined, d.Status.Attempted = nil, nil // a person asks to try again, or something else
	}
	key := client.ObjectKeyFromObject(d)
	if kept, found := r.accepted.Load(key); found {
		m.record = kept.(*record)
		return m, nil
	}
	rec, err := r.readRecord(ctx, d)
	if err != nil {
		return nil, err
	}
	m.record = rec
	r.accepted.Store(key, rec)
	return m, nil
}

func (r *reconciler) readRecord(ctx context.Context, d *v1alpha1.Delivery) (*record, error) {
	rec := &record{accepted: map[string]synchronizer.Watermark{}}
	var stored corev1.ConfigMap
	key := client.ObjectKey{Namespace: r.options.Namespace, Name: recordName(d)}
	err := r.reader.Get(ctx, key, &stored)
	if apierrors.IsNotFound(err) {
		return rec, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what %s/%s has accepted: %w", d.Namespace, d.Name, err)
	}
	for _, value := range stored.Data {
		var w synchronizer.Watermark
		if err := json.Unmarshal([]byte(value), &w); err != nil {
			return nil, fmt.Errorf("config map %s does not hold an acceptance record: %w; hint: delete it; what the status says counts then", key, err)
		}
		rec.accepted[w.Repository] = w
	}
	rec.configMap = &stored
	return rec, nil
}

// recordName is derived from the Delivery's name, not its UID: a re-created
// Delivery accepts nothing older than the first one did.
func recordName(d *v1alpha1.Delivery) string {
	sum := sha256.Sum256([]byte(d.Namespace + "/" + d.Name))
	return fmt.Sprintf("accepted-%x", sum[:12])
}

// State is the status, with the higher of two watermarks where there are two.
func (m *memory) State() synchronizer.State {
	status := m.d.Status
	state := synchronizer.State{Kinds: kindsOf(status.Kinds), Confirmed: status.Confirmed, Accepted: maps.Clone(m.record.accepted)}
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
		state.Attempt = status.Attempted.Since.UTC().Format(time.RFC3339)
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

// Begin saves the watermark first: a crash between the two writes may cost a
// pass, but never accepts something older.
func (m *memory) Begin(ctx context.Context, i synchronizer.Intent) error {
	if w := i.Accepted; w != (synchronizer.Watermark{}) && m.record.accepted[w.Repository] != w {
		if err := m.raise(ctx, i.Accepted); err != nil {
			return err
		}
	}
	return m.r.write(ctx, m.d, begun(m.d, i))
}

func (m *memory) raise(ctx context.Context, w synchronizer.Watermark) error {
	encoded, err := json.Marshal(w)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(w.Repository))
	configMap := m.record.configMap.DeepCopy()
	if configMap == nil {
		configMap = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace:   m.r.options.Namespace,
			Name:        recordName(m.d),
			Labels:      map[string]string{"app.kubernetes.io/managed-by": "sealift"},
			Annotations: map[string]string{"sealift.dev/accepted-by": m.d.Namespace + "/" + m.d.Name},
		}}
	}
	if configMap.Data == nil {
		configMap.Data = map[string]string{}
	}
	configMap.Data[fmt.Sprintf("%x", sum[:12])] = string(encoded)
	if m.record.configMap == nil {
		err = m.r.client.Create(ctx, configMap)
	} else {
		err = m.r.client.Update(ctx, configMap)
	}
	if err != nil {
		m.r.accepted.Delete(client.ObjectKeyFromObject(m.d)) // read it again: someone else wrote it
		return fmt.Errorf("saving what %s/%s accepts: %w", m.d.Namespace, m.d.Name, err)
	}
	m.record.configMap = configMap
	m.record.accepted[w.Repository] = w
	return nil
}
