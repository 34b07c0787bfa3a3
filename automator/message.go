package automator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sealift.dev/automator/hold"
	"sealift.dev/internal/text"
)

// Bounds of a commit's message.
const (
	maxListed  = 100 // changes
	maxHeld    = 20  // holds
	maxSigners = 5   // of one image
	maxSigner  = 500 // bytes of one
)

// message is the commit's: a headline, the changes, and one trailer per image and signer.
//
//	Update shop to 1.2.0
//
//	deploy/prod/shop.yaml:7: 1.1.0 -> 1.2.0
//
//	Held:
//	shop:blog 2.0.0: held by jane: breaks feeds
//
//	Sealift-Image: shop:shop 1.2.0
//	Sealift-Verified: shop:shop https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main
//
// A template stands for what is above the trailers.
func (t *turn) message(group string, changes []Change, images []ImageReport) (string, error) {
	body := headline(changes) + "\n\n" + listing(changes) + heldBack(images)
	switch {
	case t.settings.message != nil:
		made, err := t.settings.message.render(described{Group: group, Branch: t.branch, Changes: changes, Images: images})
		if err != nil {
			return "", fmt.Errorf("automate.commit.message: %w", err)
		}
		if made != "" {
			body = made
		}
	case t.settings.automation != nil:
		made, note := t.fluxMessage(*t.settings.automation, changes)
		if note != "" {
			t.notes = append(t.notes, Note{File: t.settings.automation.File, Reason: note})
		}
		if made != "" {
			body = made
		}
	}
	return strings.TrimRight(body, "\n") + "\n\n" + trailers(changes, images), nil
}

// trailers say what was written, and by whose signature.
func trailers(changes []Change, images []ImageReport) string {
	var b strings.Builder
	newest := newest(changes)
	for _, image := range order(changes) {
		fmt.Fprintf(&b, "%s: %s\n", hold.Trailer, strings.TrimSpace(image+" "+newest[image]))
	}
	for _, image := range order(changes) {
		i := slices.IndexFunc(images, func(r ImageReport) bool { return r.Name == image })
		if i < 0 {
			continue
		}
		for n, signer := range images[i].Signers {
			if n < maxSigners {
				fmt.Fprintf(&b, "Sealift-Verified: %s %s\n", image, text.Line(signer, maxSigner))
			}
		}
	}
	return b.String()
}

func listing(changes []Change) string {
	var b strings.Builder
	for i, c := range changes {
		if i == maxListed {
			fmt.Fprintf(&b, "and %d more\n", len(changes)-maxListed)
			break
		}
		fmt.Fprintf(&b, "%s:%d: %s -> %s\n", printable(c.File), c.Line, printable(c.Old), c.New)
	}
	return b.String()
}

// heldBack says what people hold, of the images that share the commit.
func heldBack(images []ImageReport) string {
	var lines []string
	for _, image := range images {
		for _, h := range image.Holds {
			lines = append(lines, image.Name+" "+h+"\n")
		}
	}
	if len(lines) == 0 {
		return ""
	}
	if more := len(lines) - maxHeld; more > 0 {
		lines = append(lines[:maxHeld], fmt.Sprintf("and %d more\n", more))
	}
	return "\nHeld:\n" + strings.Join(lines, "")
}

// order is that in which the changes name images.
func order(changes []Change) []string {
	var images []string
	seen := map[string]bool{}
	for _, c := range changes {
		if !seen[c.Image] {
			seen[c.Image] = true
			images = append(images, c.Image)
		}
	}
	return images
}

// newest is each image's TAG[@DIGEST]; empty where only the repository was written.
func newest(changes []Change) map[string]string {
	newest := map[string]string{}
	for _, c := range changes {
		switch {
		case c.Tag == "":
		case c.Digest != "":
			newest[c.Image] = c.Tag + "@" + c.Digest
		case newest[c.Image] == "":
			newest[c.Image] = c.Tag
		}
	}
	return newest
}

func headline(changes []Change) string {
	images := order(changes)
	if len(images) != 1 {
		return fmt.Sprintf("Update %d images", len(images))
	}
	_, name, _ := strings.Cut(images[0], ":")
	tag, _, _ := strings.Cut(newest(changes)[images[0]], "@")
	if tag == "" {
		return "Update " + name
	}
	return "Update " + name + " to " + tag
}

// printable quotes what does not fit on a line of a commit message.
func printable(s string) string {
	if quoted := strconv.QuoteToGraphic(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}
