package automator

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
)

// TestTokenServerOfAStranger: a registry names a token server on another host.
func TestTokenServerOfAStranger(t *testing.T) {
	var asked int
	var told []string
	token := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if auth := r.Header.Get("Authorization"); auth != "" {
			told = append(told, auth)
		}
		fmt.Fprint(w, `{"token":"t"}`)
	}))
	defer token.Close()
	stranger := strings.Replace(token.URL, "127.0.0.1", "localhost", 1)
	for _, test := range []struct {
		challenge string
		friend    bool
	}{
		{`Bearer realm="SELF/token",service="s"`, true},
		{`Bearer realm="STRANGER/token",service="s"`, false},
		{"Bearer\trealm=\"STRANGER/token\"", false},
		{`Basic realm="x", Bearer realm="STRANGER/token"`, false},
	} {
		t.Run(test.challenge, func(t *testing.T) {
			asked, told = 0, nil
			var own []string
			var server *httptest.Server
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/token":
					own = append(own, r.Header.Get("Authorization"))
					fmt.Fprint(w, `{"token":"t"}`)
				case r.Header.Get("Authorization") != "Bearer t":
					w.Header().Set("Www-Authenticate", strings.NewReplacer("SELF", server.URL, "STRANGER", stranger).Replace(test.challenge))
					w.WriteHeader(http.StatusUnauthorized)
				case strings.HasSuffix(r.URL.Path, "/tags/list"):
					page(w, "", "1.2.0")
				}
			}))
			defer server.Close()
			image := strings.TrimPrefix(server.URL, "http://") + "/apps/shop"
			git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
			opts := git.options()
			opts.Keychain = password{}
			if test.friend {
				result, err := Run(t.Context(), opts)
				if err != nil || !result.Pushed || len(own) == 0 || own[0] != "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:secret")) {
					t.Errorf("%+v, %v, %q", result, err, own)
				}
				return
			}
			mustFail(t, git, opts, "listing tags of "+image, "the token server is on another host", "no credentials are sent there")
			if asked != 0 || len(told) > 0 {
				t.Errorf("the stranger was asked %d times and got %q", asked, told)
			}
		})
	}
}

// password is the same for every registry.
type password struct{}

func (password) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "ann", Password: "secret"}, nil
}
