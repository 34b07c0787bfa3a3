package main

import (
	"strings"
	"testing"

	"sealift.dev/synchronizer/console"
)

// TestTable: columns keep their places, and no cell speaks to the terminal.
func TestTable(t *testing.T) {
	var b strings.Builder
	lines := &table{to: &b}
	for _, rows := range [][][]string{{{"NAME", "MESSAGE"}, {"a", "one\ntwo\x1b[31m"}}, {{"longer-name", ""}}, {{"b", "end"}}} {
		if err := lines.print(rows); err != nil {
			t.Fatal(err)
		}
	}
	want := "NAME   MESSAGE\na      one two·[31m\nlonger-name\nb             end\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestRowsAreNotRepeated: a change that no column shows brings no line.
func TestRowsAreNotRepeated(t *testing.T) {
	var b strings.Builder
	rows := &deliveryRows{table: table{to: &b}}
	for _, ready := range []string{"True", "True", "False"} {
		if err := rows.print([]console.Delivery{{Summary: console.Summary{Name: "shop", Ready: ready}}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(b.String(), "shop"); got != 2 || strings.Count(b.String(), "NAME") != 1 {
		t.Errorf("%d lines:\n%s", got, b.String())
	}
}

// TestPastMarksOne: a release that runs again is marked where it was delivered last.
func TestPastMarksOne(t *testing.T) {
	var out strings.Builder
	err := printPast(&out, []console.Past{{Digest: "sha256:a", Applied: true}, {Digest: "sha256:b"}, {Digest: "sha256:a", Applied: true}})
	if err != nil || strings.Count(out.String(), "*") != 1 || !strings.Contains(strings.Split(out.String(), "\n")[1], "*") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
