package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
)

// end is one end of a copy: a repository, or the folder of an image layout.
type end struct {
	layout     string // empty: a repository
	repository artifact.Repository
	tag        string
	digest     digest.Digest

	place  artifact.Place
	opened *artifact.Layout
}

// parseEnd takes what begins with oci-layout:, or looks like a path, for a folder.
func parseEnd(s string) (*end, error) {
	rest, isLayout := strings.CutPrefix(s, artifact.LayoutScheme)
	for _, sign := range []string{"/", "./", "../"} {
		isLayout = isLayout || strings.HasPrefix(s, sign)
	}
	if !isLayout {
		a, err := artifact.ParseAddress(s)
		return &end{repository: a.Repository, tag: a.Tag, digest: a.Digest}, err
	}
	e := &end{layout: rest}
	if i := strings.LastIndexByte(e.layout, '@'); i >= 0 {
		e.layout, e.digest = e.layout[:i], digest.Digest(e.layout[i+1:])
		if err := e.digest.Validate(); err != nil {
			return nil, fmt.Errorf("%q: %q is not a digest", s, e.digest.String())
		}
	}
	if i := strings.LastIndexByte(e.layout, ':'); i > strings.LastIndexByte(e.layout, '/') {
		e.layout, e.tag = e.layout[:i], e.layout[i+1:]
	}
	if e.layout == "" {
		return nil, errors.New("the folder of the image layout is missing; hint: write " + artifact.LayoutScheme + "FOLDER")
	}
	return e, nil
}

func (e *end) reference() string {
	if e.digest != "" {
		return e.digest.String()
	}
	return e.tag
}

func (e *end) open(registry *artifact.Registry, create bool) error {
	if e.layout == "" {
		e.place = registry.In(e.repository)
		return nil
	}
	opened, err := artifact.OpenLayout(e.layout, create)
	if err != nil {
		return err
	}
	e.place, e.opened = opened, opened
	return nil
}

func (e *end) close() {
	if e.opened != nil {
		_ = e.opened.Close() // everything in it was synced
	}
}

func (e *end) at(d digest.Digest) string { return e.place.String() + "@" + d.String() }
