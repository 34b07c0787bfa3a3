package webhook

import (
	"net/url"
	"strings"

	"sealift.dev/internal/giturl"
)

// SameGit says that two addresses are probably of one Git repository: of HTTPS and SSH, of
// different ports and users, with ".git" or without.
func SameGit(a, b string) bool {
	x, y := place(a), place(b)
	return x != "" && x == y
}

// place is a repository's host and path in small letters; empty: it has none.
func place(address string) string {
	at, err := url.Parse(giturl.Normalize(address))
	if err != nil || at.Hostname() == "" {
		return ""
	}
	return strings.ToLower(at.Hostname() + strings.TrimSuffix(strings.TrimRight(at.Path, "/"), ".git"))
}
