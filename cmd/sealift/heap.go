package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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
