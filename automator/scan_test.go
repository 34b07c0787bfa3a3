package automator

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestManyYoungTags: of a branch that is built all the time, the newest build that is old
// enough is written, however many younger ones there are.
func TestManyYoungTags(t *testing.T) {
	image := newRegistry(t, "main-100", "main-101")
	fields := "      select: {numerical: asc, match: '^main-(.*)$', extract: $1}\n      minimumAge: 1h\n"
	git := newGitServer(t, map[string]string{"sealift.yaml": configWith(image, fields), "shop.yaml": deployment(image + ":main-100")}, nil)
	now := time.Now()
	options := git.options()
	options.Now = func() time.Time { return now }
	if result := mustRun(t, options); result.Pushed {
		t.Fatalf("%+v", result)
	}
	now = now.Add(2 * time.Hour)
	var young []string
	for i := range 40 {
		young = append(young, fmt.Sprintf("main-%d", 200+i))
	}
	addTags(t, image, young...)
	for pass := 0; !strings.Contains(git.show("shop.yaml"), "main-101"); pass++ {
		if pass == 10 { // each asks about eight of them, which starts their clocks
			t.Fatal("the young tags hide the old one")
		}
		mustRun(t, options)
	}
}

// TestManyHeldTags: a held range does not hide what is below it.
func TestManyHeldTags(t *testing.T) {
	tags := []string{"1.0.0", "1.0.1"}
	for i := range 40 {
		tags = append(tags, fmt.Sprintf("2.0.%d", i))
	}
	image := newRegistry(t, tags...)
	holds := "apiVersion: sealift.dev/v1alpha1\nkind: ImageHolds\nholds:\n- {image: shop, version: '>=2.0.0', reason: later}\n"
	git := newGitServer(t, map[string]string{
		"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.0.0"), ".sealift/images.yaml": holds,
	}, nil)
	mustRun(t, git.options())
	if got := git.show("shop.yaml"); !strings.Contains(got, "1.0.1") {
		t.Errorf("shop.yaml is %q", got)
	}
}
