package main

import (
	"testing"
	"time"

	"sealift.dev/automator/hold"
)

// TestReleaseBehindItsClock: a release lifts the holds that it saw, also by a slow clock.
func TestReleaseBehindItsClock(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	seen := []hold.Hold{{Image: "shop:shop", Kind: hold.Reverted, Above: "1.0.0", UpTo: "1.1.0", Since: now.Add(time.Minute)}}
	release := hold.Entry{Image: "shop:shop", Since: notBefore(now, seen)}
	if left := (hold.File{Releases: []hold.Entry{release}}).InForce("shop:shop", seen, now); len(left) > 0 {
		t.Errorf("%v is held still", left)
	}
	if got := notBefore(now.Add(time.Hour), seen); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("%s", got)
	}
}
