package edit

import (
	"fmt"
	"strings"
)

// Part is the part of an image that a place holds.
type Part string

// The parts of an image.
const (
	Ref    Part = "ref" // REPOSITORY:TAG[@DIGEST]
	Tag    Part = "tag"
	Name   Part = "name" // the repository
	Digest Part = "digest"
)

// Image is what a policy has come to. Digest may be empty: it was not asked for.
type Image struct {
	Policy string // NAMESPACE:NAME
	Repo   string // as it is to be written
	Tag    string
	Digest string // ALGORITHM:HEX
}

// Place is one value of a file, or a marker or target that leads to none.
type Place struct {
	Policy string // NAMESPACE:NAME
	Part   Part
	Line   int    // from 1; 0: it leads nowhere
	Target string // how a target names it: its key, or its regular expression; empty: a marker does
	Value  string // what is there now
	Hold   bool   // its marker says that people write it
	// Problem is why it cannot be written; empty: it can.
	Problem string

	pinned     string  // why the image is left alone as long as there is no digest
	blocked    string  // why the image is left alone in this file
	overlapped string  // what else writes there
	expression *Target // whose regular expression found it
	node       int     // of the language; -1: none
	parent     int     // the node of its mapping, where the language tells
	start, end int     // of the bytes that are replaced, quotes included
	quote      string  // what stands around the value
}

// name is how people tell it from others.
func (p Place) name() string {
	if p.Target != "" {
		return "target " + p.Target
	}
	return "the marker of " + p.Policy
}

// Text is what the place should hold for an image of its policy, or why it is left alone.
// Where it holds that already, there is no reason to give.
func (p Place) Text(img Image) (text, reason string) {
	switch p.Part {
	case Tag:
		text = img.Tag
	case Name:
		text = img.Repo
	case Digest:
		text = img.Digest
	default:
		text = img.Repo + ":" + img.Tag
		if img.Digest != "" {
			text += "@" + img.Digest
		}
	}
	switch _, _, digest := p.Current(); {
	case text == p.Value && text != "":
		return text, ""
	case p.Hold:
		return "", `it is held: its marker says "$sealift": "hold"`
	case img.Digest == "" && p.pinned != "":
		return "", p.pinned
	case img.Digest == "" && digest != "" && p.Part != Name:
		return "", "the value is pinned by digest, and no digest was resolved; hint: pin: IfNotPresent"
	case p.Problem != "":
		return "", p.Problem
	case p.blocked != "":
		return "", p.blocked
	}
	if reason = checkValue(text); reason != "" {
		return "", reason
	}
	return text, ""
}

// Current is what the place holds now: of a full reference all of it, else the one part.
func (p Place) Current() (repo, tag, digest string) {
	value, digest, _ := strings.Cut(p.Value, "@")
	switch p.Part {
	case Tag:
		return "", value, digest
	case Name:
		return p.Value, "", ""
	case Digest:
		return "", "", p.Value
	}
	if colon := strings.LastIndexByte(value, ':'); colon > strings.LastIndexByte(value, '/') {
		return value[:colon], value[colon+1:], digest
	}
	return value, "", digest
}

// maxValue bounds what is written to one place; no reference is longer.
const maxValue = 1024

// checkValue says why a value is never written; empty: it may be.
func checkValue(value string) string {
	switch {
	case value == "":
		return "there is nothing to write"
	case len(value) > maxValue:
		return fmt.Sprintf("the reference is longer than %d bytes", maxValue)
	case strings.ContainsFunc(value, func(r rune) bool { return !isReferenceRune(r) }):
		return fmt.Sprintf("%q is no part of an image reference", value)
	}
	return ""
}

func isReferenceRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	}
	return r == '.' || r == '_' || r == '-' || r == '+' || r == ':' || r == '/' || r == '@'
}
