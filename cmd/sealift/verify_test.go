package main

import (
	"strings"
	"testing"
)

// What a publisher writes of its release stays in its own row.
func TestRow(t *testing.T) {
	got := row("Source", "https://git.example.com/x\nSigned by  release-manager\r\x1b[2K")
	if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("more than a row: %q", got)
	}
	if got := row("Version", "1.0.0"); got != "Version    1.0.0\n" {
		t.Errorf("%q", got)
	}
	if got := row("Version", ""); got != "" {
		t.Errorf("%q", got)
	}
}
