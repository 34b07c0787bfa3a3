package httpx

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// checkChallenges reads one Www-Authenticate header, which may hold several
// challenges. Clients disagree about what separates a scheme from its
// parameters, so a realm counts as a token server's address unless the scheme
// before it is exactly Basic. It returns the header with the alias of each realm that
// only TokenServers allows.
func (g *Guard) checkChallenges(registry *url.URL, header string) (string, error) {
	var told strings.Builder
	scheme, rest := "", header
	for rest != "" {
		word, behind := cutToken(rest)
		if word == "" {
			next := skipOne(rest)
			told.WriteString(rest[:len(rest)-len(next)])
			rest = next
			continue
		}
		value, isParameter := strings.CutPrefix(strings.TrimLeft(behind, " \t"), "=")
		if !isParameter {
			scheme, rest = word, behind
			told.WriteString(word)
			continue
		}
		value = strings.TrimLeft(value, " \t")
		realm, next := cutValue(value)
		written := value[:len(value)-len(next)]
		if strings.EqualFold(word, "realm") && !strings.EqualFold(scheme, "Basic") {
			listed, err := g.checkRealm(registry, realm)
			if err != nil {
				return "", err
			}
			if listed {
				written = strings.Replace(written, realm, aliasOf(registry, realm), 1)
			}
		}
		told.WriteString(rest[:len(rest)-len(value)] + written)
		rest = next
	}
	return told.String(), nil
}

// cutToken splits a token of RFC 7230 from the beginning of s; empty: there is none.
func cutToken(s string) (token, rest string) {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// cutValue splits a parameter's value from the beginning of s. A quoted one
// keeps its escapes, an unquoted one ends where a token does.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		return cutToken(s)
	}
	quoted := s[:len(s)-len(skipOne(s))]
	return strings.Trim(quoted, `"`), s[len(quoted):]
}

// skipOne steps over one byte, or over a whole quoted string.
func skipOne(s string) string {
	if s[0] != '"' {
		return s[1:]
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[i+1:]
		}
	}
	return ""
}

// checkRealm refuses a token server of another organisation than the registry's
// that is not listed, and one by plain HTTP where the registry has TLS.
func (g *Guard) checkRealm(registry *url.URL, text string) (listed bool, err error) {
	realm, err := url.Parse(text)
	if err != nil || strings.ContainsRune(text, '\\') || realm.Host == "" || realm.User != nil ||
		realm.Scheme != "https" && realm.Scheme != registry.Scheme {
		return false, fmt.Errorf("the token server %q has no acceptable address: %w", clip(text), ErrTokenServer)
	}
	switch {
	case strings.EqualFold(registry.Hostname(), realm.Hostname()):
		return false, nil
	case g.lists(realm):
		return true, nil
	case !sameOrganisation(registry.Hostname(), realm.Hostname()):
		return false, fmt.Errorf("the token server is on another host, %q: %w; hint: if that host is yours, allow it with --token-server HOST", clip(realm.Host), ErrTokenServer)
	}
	return false, nil
}

// sameOrganisation is true for one host, and for two below one registered domain,
// as registry-1.docker.io and auth.docker.io are.
func sameOrganisation(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if a == b {
		return true
	}
	if isAddress(a) || isAddress(b) {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(a)
	if !icann && !strings.Contains(suffix, ".") {
		return false // a private name: nobody knows where organisations begin
	}
	x, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil {
		return false
	}
	y, err := publicsuffix.EffectiveTLDPlusOne(b)
	return err == nil && x == y
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
