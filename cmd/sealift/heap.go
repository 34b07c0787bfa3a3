package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// leanGrowth is how far the heap grows before it is swept, in percent of what lives.
	leanGrowth = 50
	// freeHeap is how large the heap may be in any case: sweeping a small one again and
	// again costs a third of the processor time of a busy start.
	freeHeap = 64 << 20
)

// growth is how far a heap of which live bytes are in use may grow, in percent.
func growth(live uint64) int {
	if live == 0 {
		return leanGrowth
	}
	return max(leanGrowth, min(400, int(freeHeap*100/live)-100))
}

// paceHeap has the heap grow as growth says, anew after each sweep.
func paceHeap() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(growth(live[0].Value.Uint64()))
	runtime.SetFinalizer(&struct{ swept [16]byte }{}, func(any) { paceHeap() })
}

// calmAfter is how often it is looked whether a busy time is over.
const calmAfter = 15 * time.Second

// returnHeap gives memory back to the kernel whenever a busy time is over, until ctx is
// done: the heap by itself stays about as large as it was, and most of the program file
// that a rollout touched is not needed to rest.
func returnHeap(ctx context.Context) {
	tick := time.NewTicker(calmAfter)
	defer tick.Stop()
	total := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	now := work{busy: true}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(total)
		if now.over(total[0].Value.Uint64()) {
			debug.FreeOSMemory()
			returnPages()
		}
	}
}

// work is what a process had allocated when it was looked at last, and whether it was busy.
type work struct {
	allocated uint64
	busy      bool
}

// over says that a busy time is, now that so many bytes are allocated in all.
func (w *work) over(allocated uint64) bool {
	was := w.busy
	w.busy, w.allocated = allocated-w.allocated >= freeHeap, allocated
	return was && !w.busy
}
