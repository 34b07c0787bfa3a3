package test

import (
	"strings"
	"testing"
)

// revert takes the tip of main back, as a person does.
func (y *yard) revert() {
	y.t.Helper()
	y.pull()
	y.person(y.work, "revert", "--no-edit", "HEAD")
	y.person(y.work, "push", "--quiet", "origin", "HEAD:main")
}

// TestAutomateRevertSticks: what a person took back is not made again, with and without the
// ledger, until a newer version passes.
func TestAutomateRevertSticks(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(map[bool]string{false: "ledger", true: "lost"}[lost], func(t *testing.T) {
			t.Parallel()
			y := newYard(t, yardOptions{})
			y.tag("shop", "1.0.0", "1.1.0", "1.2.0")
			y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
			y.bumps(map[string]string{"shop.yaml": "shop:1.2.0"})
			y.revert()
			for range 3 {
				if lost {
					y.forget()
				}
				y.stays().says(t, "1.2.0")
			}
			y.holds(map[string]string{"shop.yaml": "shop:1.0.0"})
			y.tag("shop", "1.1.9") // between what runs and what was taken back
			y.stays()
			if lost {
				y.forget()
			}
			y.tag("shop", "1.3.0")
			y.bumps(map[string]string{"shop.yaml": "shop:1.3.0"})
			y.stays()
		})
	}
}

// forget loses the ledger.
func (y *yard) forget() {
	y.t.Helper()
	for ref := range strings.FieldsSeq(y.person(y.bare(), "for-each-ref", "--format=%(refname)", "refs/sealift", "refs/heads/sealift")) {
		y.person(y.bare(), "update-ref", "-d", ref)
	}
}

// TestAutomateRevertByHand: an older value that a person writes is a revert as well.
func TestAutomateRevertByHand(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0", "1.2.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	y.bumps(map[string]string{"shop.yaml": "shop:1.2.0"})
	y.commit("Back to what worked", map[string]string{"shop.yaml": y.runs("shop", "1.1.0")})
	y.stays()
	y.holds(map[string]string{"shop.yaml": "shop:1.1.0"})
	y.commit("Ahead", map[string]string{"shop.yaml": y.runs("shop", "1.2.0")})
	y.stays()
	y.tag("shop", "1.2.1")
	y.bumps(map[string]string{"shop.yaml": "shop:1.2.1"})
}
