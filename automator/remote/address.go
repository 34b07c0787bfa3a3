package remote

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// scpPattern matches [USER@]HOST:PATH, Git's short form of an SSH address.
var scpPattern = regexp.MustCompile(`^(?:([^@:/]+)@)?([^@:/\[\]]+|\[[0-9a-fA-F:.]+\]):(.+)$`)

const hintAddress = "hint: write https://HOST/PATH, ssh://git@HOST/PATH or git@HOST:PATH"

// parseAddress reads a repository's address, and keeps secrets out of it. For SSH the path is
// the one that the server's shell gets.
func parseAddress(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		scp := scpPattern.FindStringSubmatch(address)
		if scp == nil {
			return nil, fmt.Errorf("repository %q has no host; %s", oneLine(address), hintAddress)
		}
		return checkAddress(&url.URL{Scheme: "ssh", User: userOf(scp[1]), Host: scp[2], Path: scp[3]})
	}
	u, err := url.Parse(address)
	if err != nil {
		// The parser's own message repeats the address, which may hold a password.
		return nil, errors.New("the repository's URL does not parse; " + hintAddress)
	}
	if u.Scheme == "ssh" && strings.HasPrefix(u.Path, "/~") {
		u.Path = u.Path[1:]
	}
	return checkAddress(u)
}

func userOf(name string) *url.Userinfo {
	if name == "" {
		return nil
	}
	return url.User(name)
}

func checkAddress(u *url.URL) (*url.URL, error) {
	_, secret := u.User.Password()
	switch {
	case secret || u.User != nil && u.Scheme != "ssh":
		return nil, fmt.Errorf("repository %s: credentials do not belong in the URL; hint: pass username and password apart", u.Redacted())
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "ssh":
		return nil, fmt.Errorf("repository %q: only https://, http:// and ssh:// are supported; %s", oneLine(u.String()), hintAddress)
	case u.Hostname() == "":
		return nil, fmt.Errorf("repository %q has no host; %s", oneLine(u.String()), hintAddress)
	case u.Scheme != "ssh":
		u.Path = strings.TrimRight(u.Path, "/")
	case strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.Path, "-") || strings.Trim(u.Path, "/") == "":
		return nil, fmt.Errorf("repository %q has no acceptable path; %s", oneLine(u.String()), hintAddress)
	}
	return u, nil
}
