package httpx

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// aliasPath goes before a listed token server's address where the registry's
// client is told about it. The client asks no token server in a private network
// but one on the registry's own host, so it gets that name, and the Guard sends
// its request where it belongs.
const aliasPath = "/.sealift/token-server/"

// lists says that TokenServers allows the host, with its port unless that is the scheme's.
func (g *Guard) lists(realm *url.URL) bool {
	for _, allowed := range g.TokenServers {
		if strings.EqualFold(withPort(allowed, realm.Scheme), withPort(realm.Host, realm.Scheme)) {
			return true
		}
	}
	return false
}

func withPort(host, scheme string) string {
	u := url.URL{Host: host}
	if u.Port() != "" {
		return host
	}
	if scheme == "http" {
		return host + ":80"
	}
	return host + ":443"
}

// aliasOf is the address under which a listed realm is told to the client.
func aliasOf(registry *url.URL, realm string) string {
	scheme, rest, _ := strings.Cut(realm, "://")
	return registry.Scheme + "://" + registry.Host + aliasPath + scheme + "/" + rest
}

// tokenServerBehind is the address that an alias stands for.
func tokenServerBehind(alias *url.URL) (*url.URL, bool) {
	rest, is := strings.CutPrefix(alias.EscapedPath(), aliasPath)
	if !is {
		return nil, false
	}
	scheme, rest, _ := strings.Cut(rest, "/")
	at, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return nil, false
	}
	at.RawQuery = alias.RawQuery
	return at, true
}

// askTokenServer sends a request for an alias to the token server itself, which
// has to be listed whoever wrote the alias.
func (g *Guard) askTokenServer(request *http.Request, at *url.URL) (*http.Response, error) {
	if at.User != nil || at.Scheme != "https" && at.Scheme != request.URL.Scheme || !g.lists(at) {
		return nil, fmt.Errorf("the token server %q is not allowed: %w", clip(at.Host), ErrTokenServer)
	}
	real := request.Clone(request.Context())
	real.URL, real.Host = at, ""
	response, err := g.send(at, real)
	if err != nil {
		return nil, err
	}
	// What a redirect means is told by the real address, not by the alias.
	if next, err := response.Location(); err == nil {
		response.Header.Set("Location", next.String())
	}
	return response, nil
}
