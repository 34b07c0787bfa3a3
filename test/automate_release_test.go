package test

import (
	"strings"
	"testing"
)

// TestAutomateFreeze: with onRevert: Freeze nothing moves after a revert, until a person lifts it.
func TestAutomateFreeze(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.2.0")
	y.commit("one", map[string]string{
		"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0", "onRevert: Freeze")), "shop.yaml": y.runs("shop", "1.0.0")})
	y.bumps(map[string]string{"shop.yaml": "shop:1.2.0"})
	y.revert()
	y.stays()
	y.tag("shop", "1.3.0")
	y.stays().says(t, "1.3.0")
	out, problem, err := y.run("images", "release", "shop:shop", "--repo", y.url, "--branch", "main")
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, problem)
	}
	y.bumps(map[string]string{"shop.yaml": "shop:1.3.0"})
}

// TestAutomateExplicitHold: images hold keeps a version back for as long as it stands, release
// lifts it, and both are commits that anybody can read.
func TestAutomateExplicitHold(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0", "1.2.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	if _, problem, err := y.run("images", "hold", "shop:shop", "1.2.0", "--repo", y.url, "--branch", "main", "--reason", "eats orders"); err != nil {
		t.Fatalf("%v: %s", err, problem)
	}
	p := y.bumps(map[string]string{"shop.yaml": "shop:1.1.0", ".sealift/images.yaml": "eats orders"})
	p.says(t, "1.2.0", "eats orders")
	if out, problem, err := y.run("images", "holds", "--repo", y.url, "--branch", "main"); err != nil || !strings.Contains(out, "1.2.0") {
		t.Errorf("%v: the list of holds is %q %s", err, out, problem)
	}
	if _, problem, err := y.run("images", "release", "shop:shop", "1.2.0", "--repo", y.url, "--branch", "main"); err != nil {
		t.Fatalf("%v: %s", err, problem)
	}
	y.bumps(map[string]string{"shop.yaml": "shop:1.2.0"})
}
