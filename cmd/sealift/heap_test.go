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
