package test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// table is the round trips in Markdown. Identities with the same answers share a row, and so do
// registries, which all have the same.
func table(cells []cell) string {
	var b strings.Builder
	b.WriteString("| signed by | with | " + strings.Join(prefixed("verified by ", verifiers()), " | ") + " |\n|---|---|" + strings.Repeat("---|", len(verifiers())) + "\n")
	var notes []string
	for _, w := range ways() {
		var answers []string // of each row, in the order of identities
		with := map[string][]string{}
		for _, id := range identities() {
			row, found := rowOf(cells, id, w, &notes)
			if !found {
				continue
			}
			if !slices.Contains(answers, row) {
				answers = append(answers, row)
			}
			with[row] = append(with[row], id.name)
		}
		for _, row := range answers {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", w.name, strings.Join(with[row], ", "), row)
		}
	}
	for i, note := range notes {
		fmt.Fprintf(&b, "\n%d. %s\n", i+1, note)
	}
	return b.String()
}

// rowOf are the answers of every verifier to one signature.
func rowOf(cells []cell, id identity, w way, notes *[]string) (string, bool) {
	var answers []string
	for _, verifier := range verifiers() {
		asked := slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return c.id != id || c.way.name != w.name || c.verifier != verifier })
		if len(asked) == 0 {
			return "", false
		}
		why := refused(id, w, verifier)
		if slices.ContainsFunc(asked, func(c cell) bool { return (c.err == nil) != (why == nil) }) {
			answers = append(answers, "not as expected")
			continue
		}
		if why == nil {
			answers = append(answers, "yes")
			continue
		}
		note := slices.Index(*notes, why.note)
		if note < 0 {
			note = len(*notes)
			*notes = append(*notes, why.note)
		}
		answers = append(answers, fmt.Sprintf("no (%d)", note+1))
	}
	return strings.Join(answers, " | "), true
}

func prefixed(prefix string, list []string) []string {
	var all []string
	for _, s := range list {
		all = append(all, prefix+s)
	}
	return all
}

// holdTable compares text with what the document has between the markers "<!-- NAME -->" and
// "<!-- end of NAME -->"; with -update it writes it there, unless the test has failed.
func holdTable(t *testing.T, path, name, text string) {
	t.Helper()
	t.Logf("%s:\n%s", name, text)
	document, err := os.ReadFile(path)
	must(t, err)
	begin, end := fmt.Appendf(nil, "<!-- %s -->\n", name), fmt.Appendf(nil, "<!-- end of %s -->", name)
	before, rest, found := bytes.Cut(document, begin)
	held, after, ended := bytes.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s lacks the markers %q and %q", path, begin, end)
	}
	if string(held) == text {
		return
	}
	if !*update || t.Failed() {
		t.Errorf("%s holds another table; hint: go test ./test -run %s -update", path, t.Name())
		return
	}
	must(t, os.WriteFile(path, bytes.Join([][]byte{before, begin, []byte(text), end, after}, nil), 0o644))
}
