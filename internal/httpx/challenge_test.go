package httpx

import (
	"net/url"
	"strings"
	"testing"
)

// TestListedRealmBecomesAnAlias also has bytes whose lower case is longer: where
// the realm stands in the one is no place in the other.
func TestListedRealmBecomesAnAlias(t *testing.T) {
	g := &Guard{TokenServers: []string{"listed.example.com"}}
	registry := &url.URL{Scheme: "https", Host: "registry.example.org"}
	const realm, alias = "https://listed.example.com/t", "https://registry.example.org/.sealift/token-server/https/listed.example.com/t"
	for header, want := range map[string]string{
		`Bearer realm="` + realm + `",service="s"`:                           `Bearer realm="` + alias + `",service="s"`,
		strings.Repeat("\u023a", 200) + ` Bearer realm="` + realm + `"`:      strings.Repeat("\u023a", 200) + ` Bearer realm="` + alias + `"`,
		`Bearer x="realm ` + realm + `", REALM = "` + realm + `"`:            `Bearer x="realm ` + realm + `", REALM = "` + alias + `"`,
		`Basic realm="` + realm + `", Bearer realm=` + `"` + realm + `",a=b`: `Basic realm="` + realm + `", Bearer realm="` + alias + `",a=b`,
		`Bearer realm="https://registry.example.org/token"`:                  `Bearer realm="https://registry.example.org/token"`,
	} {
		if got, err := g.checkChallenges(registry, header); err != nil || got != want {
			t.Errorf("%s\ngot  %s %v\nwant %s", header, got, err, want)
		}
	}
}
