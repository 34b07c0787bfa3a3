package forge_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator/forge"
)

func appKey(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// TestAppTokens asks for a token with the App's signature, keeps it, and renews one that ends.
func TestAppTokens(t *testing.T) {
	asked, lives := 0, 30*time.Second
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
		if r.Method != http.MethodPost || r.URL.Path != "/api/v3/app/installations/42/access_tokens" || len(parts) != 3 {
			http.Error(w, `{"message":"A JSON web token could not be decoded"}`, http.StatusUnauthorized)
			return
		}
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var claims struct {
			Issuer string `json:"iss"`
		}
		if json.Unmarshal(payload, &claims) != nil || claims.Issuer != "7" {
			http.Error(w, `{"message":"Bad issuer"}`, http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":"ghs_%d","expires_at":%q}`, asked, time.Now().Add(lives).UTC().Format(time.RFC3339))
	}))
	defer server.Close()
	tokens, err := forge.NewTokens(forge.App{ID: 7, Installation: 42, Key: appKey(t), URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"ghs_1", "ghs_2", "ghs_2"} {
		user, password, err := tokens.Credentials(t.Context())
		if err != nil || user != "x-access-token" || password != want {
			t.Errorf("%d: %q, %q, %v", i, user, password, err)
		}
		lives = time.Hour
	}
}

func TestAppTrouble(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/1/") {
			fmt.Fprint(w, `{"expires_at":"2040-01-01T00:00:00Z"}`)
			return
		}
		http.Error(w, `{"message":"Integration not found"}`, http.StatusNotFound)
	}))
	defer server.Close()
	key := appKey(t)
	for name, test := range map[string]struct {
		app  forge.App
		want string
	}{
		"no installation": {forge.App{ID: 7, Installation: 2, Key: key, URL: server.URL}, "Integration not found"},
		"no token":        {forge.App{ID: 7, Installation: 1, Key: key, URL: server.URL}, "none in the answer"},
		"no key":          {forge.App{ID: 7, Installation: 2, Key: []byte("secret text"), URL: server.URL}, "no RSA key"},
		"no numbers":      {forge.App{Key: key}, "above 0"},
	} {
		tokens, err := forge.NewTokens(test.app)
		if err == nil {
			_, err = tokens.Token(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret text") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
