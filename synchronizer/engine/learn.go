package engine

import "github.com/fluxcd/cli-utils/pkg/kstatus/status"

// learn takes the verdict that a watch brought along. It is news when it differs from
// the one before, or when a pass waits for it.
func (r *record) learn(seen *reading) {
	v := seen.verdict
	if v == nil || r.verdict.by != nil || v.rv < r.verdict.rv {
		return
	}
	before := r.verdict
	r.news = r.news || r.awaited || before.status != v.status || before.message != v.message || before.uid != v.uid
	r.verdict, r.awaited = *v, false
	if v.current() {
		r.sound = sound{uid: v.uid, generation: v.generation}
	}
}

// healthNews says that the owner has to hear of r's health: another verdict came, or
// one has to be asked for.
func (t *tracker) healthNews(r *record) bool {
	unread := (hasStatus(r.ref.GroupKind()) || r.verdict.rv > 0) && r.rv > r.verdict.rv
	if !r.news && !unread || t.postpone(r, r.applied.owner) {
		return false
	}
	if r.news {
		r.news, r.pace = false, r.pace.step(t.now(), paceEvery)
	}
	return true
}

// await is the verdict on ref at version rv or later. While the watch has not brought
// it, the object is in progress, and its owner hears of it.
func (t *tracker) await(ref ObjectRef, rv uint64) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.objects[ref]
	if r != nil && r.verdict.rv >= rv {
		return r.verdict
	}
	v := verdict{rv: rv, status: string(status.InProgressStatus), message: "written a moment ago"}
	if r != nil {
		r.awaited, v.uid = true, r.uid
	}
	return v
}
