package hold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/Masterminds/semver/v3"
	"sealift.dev/internal/objects"
)

// Path is the file that holds are written to by hand, from the root of the repository.
const Path = ".sealift/images.yaml"

const (
	apiVersion = "sealift.dev/v1alpha1"
	kind       = "ImageHolds"

	maxFileBytes = 1 << 20
	maxEntries   = 1000
	maxText      = 500 // bytes of a field
)

// File is .sealift/images.yaml.
type File struct {
	// Holds are in force until they end, or are taken out of the file.
	Holds []Entry
	// Releases lift automatic holds that were there when they were written.
	Releases []Entry
}

// Entry is what somebody says of an image's versions.
type Entry struct {
	// Image is NAMESPACE:NAME as in markers, or NAME where both are the same.
	Image string
	// Version is a tag, a version, or a range in Masterminds' grammar; empty: all.
	Version string
	Reason  string
	By      string
	Since   time.Time
	Until   time.Time // zero: it does not end; releases have none
}

func (e Entry) hold(kind Kind) Hold {
	return Hold{Image: full(e.Image), Kind: kind, Version: e.Version, Reason: e.Reason, By: e.By, Since: e.Since, Until: e.Until}
}

// document is the file as it is written.
type document struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Holds      []entry `json:"holds,omitempty"`
	Releases   []entry `json:"releases,omitempty"`
}

type entry struct {
	Image   string `json:"image"`
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason,omitempty"`
	By      string `json:"by,omitempty"`
	Since   string `json:"since,omitempty"`
	Until   string `json:"until,omitempty"`
}

// Parse reads .sealift/images.yaml.
func Parse(data []byte) (File, error) {
	f, err := parse(data)
	if err != nil {
		return File{}, fmt.Errorf("reading %s: %w", Path, err)
	}
	return f, nil
}

func parse(data []byte) (File, error) {
	if len(data) > maxFileBytes {
		return File{}, fmt.Errorf("it has %d bytes, more than %d", len(data), maxFileBytes)
	}
	documents, err := objects.Documents(objects.File{Path: Path, Data: data}, objects.DefaultLimits())
	if err != nil {
		return File{}, err
	}
	if len(documents) != 1 {
		return File{}, fmt.Errorf("it has %d YAML documents; hint: one, apiVersion %s, kind %s", len(documents), apiVersion, kind)
	}
	var d document
	decoder := json.NewDecoder(bytes.NewReader(documents[0].JSON)) // no number becomes a text
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return File{}, fmt.Errorf(`%w; hint: versions are text: version: "1.4"`, err)
	}
	if d.APIVersion != apiVersion || d.Kind != kind {
		return File{}, fmt.Errorf("apiVersion %.50q, kind %.50q: %s, %s is wanted", d.APIVersion, d.Kind, apiVersion, kind)
	}
	var f File
	if f.Holds, err = entries("holds", d.Holds); err == nil {
		f.Releases, err = entries("releases", d.Releases)
	}
	return f, err
}

func entries(field string, all []entry) ([]Entry, error) {
	if len(all) > maxEntries {
		return nil, fmt.Errorf("%s has %d entries, more than %d", field, len(all), maxEntries)
	}
	var out []Entry
	for i, raw := range all {
		e, err := raw.parse()
		if err == nil {
			err = e.check()
		}
		if err == nil && field == "releases" && !e.Until.IsZero() {
			err = errors.New("until: a release does not end")
		}
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (raw entry) parse() (Entry, error) {
	e := Entry{Image: raw.Image, Version: raw.Version, Reason: raw.Reason, By: raw.By}
	var err error
	if e.Since, err = ParseTime(raw.Since); err != nil {
		return e, fmt.Errorf("since: %w", err)
	}
	if e.Until, err = ParseTime(raw.Until); err != nil {
		return e, fmt.Errorf("until: %w", err)
	}
	return e, nil
}

// ParseTime reads 2026-12-01, which is its beginning in UTC, or 2026-12-01T09:00:00Z. Empty
// text is the zero time.
func ParseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.50q is no time; hint: 2026-12-01 or 2026-12-01T09:00:00Z", s)
}

// check says what is wrong with an entry.
func (e Entry) check() error {
	for _, field := range []struct{ name, text string }{{"image", e.Image}, {"version", e.Version}, {"reason", e.Reason}, {"by", e.By}} {
		if len(field.text) > maxText {
			return fmt.Errorf("%s has %d bytes, more than %d", field.name, len(field.text), maxText)
		}
		if strings.ContainsFunc(field.text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
			return fmt.Errorf("%s: %.50q has a character that cannot be printed", field.name, field.text)
		}
	}
	switch {
	case e.Image == "":
		return errors.New("image is missing; hint: NAMESPACE:NAME, as in markers")
	case strings.ContainsAny(e.Image, " @") || strings.Count(e.Image, ":") > 1:
		return fmt.Errorf("image %.100q: NAMESPACE:NAME is wanted, as in markers", e.Image)
	case !isVersion(e.Version):
		return fmt.Errorf("version %.100q is neither a tag nor a range; hint: \"1.4.2\" or \">=1.4.0 <1.5.0\"", e.Version)
	}
	return nil
}

// isVersion takes what no tag can look like for a range.
func isVersion(s string) bool {
	const tag = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+"
	if strings.Trim(s, tag) == "" {
		return len(s) <= 128
	}
	_, err := semver.NewConstraint(s)
	return err == nil
}
