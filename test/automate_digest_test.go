package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestAutomatePinned: the digest is written beside the tag, in one reference and in fields of
// their own, and stays when the tag moves.
func TestAutomatePinned(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	zero := "sha256:" + strings.Repeat("0", 64)
	y.commit("one", map[string]string{
		"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0", "pin: IfNotPresent")),
		"shop.yaml":    y.runs("shop", "1.0.0@"+zero),
		"kustomization.yaml": fmt.Sprintf("images:\n  - name: shop\n    newName: %s # {\"$imagepolicy\": \"shop:shop:name\"}\n"+
			"    newTag: 1.0.0 # {\"$imagepolicy\": \"shop:shop:tag\"}\n    digest: %s # {\"$imagepolicy\": \"shop:shop:digest\"}\n", y.image("shop"), zero),
	})
	digest := y.digest("shop", "1.1.0")
	want := map[string]string{"shop.yaml": "shop:1.1.0@" + digest + " #", "kustomization.yaml": "digest: " + digest + " #"}
	y.bumps(want)
	y.swap("shop", "1.1.0")
	y.stays()
	y.holds(want)
}

// TestAutomateDigestWithoutPin: a place for a digest is not emptied, nor left behind its tag, by a
// policy that resolves none.
func TestAutomateDigestWithoutPin(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{
		"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")),
		"images.yaml": "tag: 1.0.0 # {\"$imagepolicy\": \"shop:shop:tag\"}\ndigest: sha256:" + strings.Repeat("0", 64) +
			" # {\"$imagepolicy\": \"shop:shop:digest\"}\n",
	})
	y.stays().says(t, "images.yaml", "digest")
}

// TestAutomateMovingTag: the digest behind a tag that moves is followed.
func TestAutomateMovingTag(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "stable")
	first := y.digest("shop", "stable")
	y.commit("one", map[string]string{
		"sealift.yaml": y.follows("", "name: shop\nimage: "+y.image("shop")+"\nselect: {digest: stable}\npin: Always"),
		"shop.yaml":    y.runs("shop", "stable@sha256:"+strings.Repeat("0", 64)),
	})
	y.bumps(map[string]string{"shop.yaml": "shop:stable@" + first})
	y.stays()
	y.swap("shop", "stable")
	second := y.digest("shop", "stable")
	if first == second {
		t.Fatal("the tag was not moved")
	}
	y.bumps(map[string]string{"shop.yaml": "shop:stable@" + second})
	y.stays()
}

// TestAutomatePlatforms: an image that lacks a platform is passed over.
func TestAutomatePlatforms(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	for tag, platform := range map[string]string{"1.0.0": "amd64", "1.1.0": "amd64", "1.2.0": "arm64"} {
		y.push("shop", tag, y.built(tag, platform))
	}
	y.commit("one", map[string]string{
		"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0", "platforms: [linux/amd64]")), "shop.yaml": y.runs("shop", "1.0.0")})
	y.bumps(map[string]string{"shop.yaml": "shop:1.1.0"}).says(t, "1.2.0", "linux/amd64")
}

// TestAutomatePushBranch: commits may go to a branch of their own, which is made anew from the one
// that is read, and left alone once a person has committed to it.
func TestAutomatePushBranch(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	main := y.commit("one", map[string]string{
		"sealift.yaml": y.follows("push: {branch: bumps}", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	p := y.automate()
	if p.code != 0 || y.tip() != main || !strings.Contains(y.show("bumps", "shop.yaml"), "shop:1.1.0") {
		t.Fatalf("exit %d, main at %.7s: %s%s", p.code, y.tip(), p.out, p.problem)
	}
	bot := y.tip("bumps")
	y.automate()
	if y.tip("bumps") != bot {
		t.Error("the branch was pushed again, though nothing is new")
	}
	y.commit("two", map[string]string{"other.txt": "x\n"})
	y.tag("shop", "1.2.0")
	y.automate()
	if n := y.person(y.bare(), "rev-list", "--count", "main..bumps"); n != "1" || !strings.Contains(y.show("bumps", "shop.yaml"), "shop:1.2.0") {
		t.Errorf("%s commits on top of main, with\n%s", n, y.show("bumps", "shop.yaml"))
	}
	y.pull()
	y.person(y.work, "checkout", "--quiet", "-B", "bumps", "origin/bumps")
	y.person(y.work, "commit", "--quiet", "--allow-empty", "--message", "A person's word")
	y.person(y.work, "push", "--quiet", "origin", "HEAD:bumps")
	theirs := y.tip("bumps")
	y.tag("shop", "1.3.0")
	y.automate().says(t, "bumps")
	if y.tip("bumps") != theirs {
		t.Errorf("a person's commit was pushed over: %s", y.person(y.bare(), "log", "--oneline", "bumps"))
	}
}
