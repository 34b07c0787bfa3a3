// Package giturl knows how Git's addresses are written.
package giturl

import (
	"net/url"
	"regexp"
	"strings"
)

// scpPattern matches how Git writes SSH addresses without a scheme, after the user.
var scpPattern = regexp.MustCompile(`^([^:/\[\]]+):(.*)$`)

// Normalize gives the spellings of one Git URL one form, so that a commit has the same
// release whoever publishes it: without user, password, query and fragment, without
// "/" and ".git" at the end, and with the scheme that git@HOST:PATH stands for. The
// same place by another scheme stays another address.
func Normalize(address string) string {
	if strings.Contains(address, "://") {
		address = withoutCredentials(address)
	} else {
		host, _, _ := strings.Cut(address, "/")
		address = address[strings.LastIndexByte(host, '@')+1:]
		if scp := scpPattern.FindStringSubmatch(address); scp != nil {
			address = "ssh://" + scp[1] + "/" + strings.TrimPrefix(scp[2], "/")
		}
	}
	return strings.TrimSuffix(strings.TrimRight(address, "/"), ".git")
}

func withoutCredentials(address string) string {
	u, err := url.Parse(address)
	if scheme, after, ok := strings.Cut(address, "://"); ok && err != nil {
		after, _, _ = strings.Cut(after, "#")
		after, _, _ = strings.Cut(after, "?")
		return scheme + "://" + after[strings.LastIndexByte(after, '@')+1:]
	}
	if err != nil || u.Host == "" {
		return address
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
