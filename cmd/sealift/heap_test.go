package main

import "testing"

// TestGrowth: a small heap may grow to 64 MiB, a large one by half.
func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{0: 50, 1 << 20: 400, 16 << 20: 300, 32 << 20: 100, 60 << 20: 50, 1 << 30: 50} {
		if got := growth(live); got != want {
			t.Errorf("a heap of %d MiB may grow by %d percent, not %d", live>>20, want, got)
		}
	}
}

// TestMemoryGoesBackOnce: after each busy time, and not while it lasts or at rest.
func TestMemoryGoesBackOnce(t *testing.T) {
	w, total := work{busy: true}, uint64(0)
	for i, tt := range []struct {
		mib  uint64
		over bool
	}{{500, false}, {64, false}, {63, true}, {10, false}, {0, false}, {64, false}, {3, true}} {
		total += tt.mib << 20
		if got := w.over(total); got != tt.over {
			t.Errorf("look %d, after %d MiB more: %v", i, tt.mib, got)
		}
	}
}
