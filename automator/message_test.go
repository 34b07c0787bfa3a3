package automator

import (
	"fmt"
	"strings"
	"testing"
)

func TestHeldInMessages(t *testing.T) {
	changes := []Change{{File: "a.yaml", Line: 3, Image: "shop:shop", Tag: "1.2.0", Old: "1.1.0", New: "1.2.0"}}
	images := []ImageReport{{Name: "shop:shop", Tag: "1.2.0"}, {Name: "shop:blog", Holds: []string{"2.0.0: held by jane"}}}
	got, err := (&turn{}).message("", changes, images)
	want := "Update shop to 1.2.0\n\na.yaml:3: 1.1.0 -> 1.2.0\n\nHeld:\nshop:blog 2.0.0: held by jane\n\nSealift-Image: shop:shop 1.2.0\n"
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	for n := range 30 {
		images[1].Holds = append(images[1].Holds, fmt.Sprint(n))
	}
	if got := heldBack(images); strings.Count(got, "\n") != 2+maxHeld+1 || !strings.HasSuffix(got, "\nand 11 more\n") {
		t.Errorf("got %s", got)
	}
}
