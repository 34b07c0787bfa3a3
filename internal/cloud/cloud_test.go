package cloud

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// TestHosts: a cloud's credentials are for its own registries, and for nobody with a name like theirs.
func TestHosts(t *testing.T) {
	providers := map[string]provider{AWS: aws{}, Azure: &azure{}, GCP: gcp{}}
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com":   AWS,
		"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com": AWS,
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":  AWS,
		"123456789012.dkr-ecr.eu-central-1.on.aws":          AWS,
		"acme.azurecr.io":              Azure,
		"acme.azurecr.cn":              Azure,
		"gcr.io":                       GCP,
		"eu.gcr.io":                    GCP,
		"europe-docker.pkg.dev":        GCP,
		"evilgcr.io":                   "",
		"gcr.io.evil.example":          "",
		"pkg.dev.evil.example":         "",
		"evilpkg.dev":                  "",
		"acme.azurecr.io.evil.example": "",
		"a.b.azurecr.io":               "",
		"azurecr.io":                   "",
		"123456789012.dkr.ecr.eu.evil.amazonaws.com.evil.com":  "",
		"12345.dkr.ecr.eu-central-1.amazonaws.com":             "",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil": "",
		"x.123456789012.dkr.ecr.eu-central-1.amazonaws.com":    "",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com:8443": "",
		"acme.azurecr.io:8443":                                 "",
		"s3.amazonaws.com":                                     "",
		"index.docker.io":                                      "",
	} {
		for cloud, p := range providers {
			if p.serves(host) != (cloud == want) {
				t.Errorf("%s: %s: %v", host, cloud, !(cloud == want))
			}
		}
	}
}

func mustLogin(t *testing.T, c *Clouds, host string) Login {
	t.Helper()
	found, ok, err := c.Login(t.Context(), host)
	if err != nil || !ok {
		t.Fatalf("%s: %v, %v", host, ok, err)
	}
	return found
}

func TestAWS(t *testing.T) {
	asked, lasts := 0, 12*time.Hour
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetAuthorizationToken") || !strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/ecr/") {
			t.Errorf("asked for %q with %q", r.Header.Get("X-Amz-Target"), r.Header.Get("Authorization"))
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]any{"authorizationData": []any{map[string]any{
			"authorizationToken": base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:password-%d", asked)),
			"expiresAt":          time.Now().Add(lasts).Unix(),
		}}})
	}))
	defer server.Close()
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL_ECR": server.URL, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(key, value)
	}
	clouds, err := New(http.DefaultTransport, AWS)
	if err != nil {
		t.Fatal(err)
	}
	const host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	for range 2 {
		if got := mustLogin(t, clouds, host); got != (Login{"AWS", "password-1"}) {
			t.Errorf("%+v", got)
		}
	}
	if got, ok, err := clouds.Login(t.Context(), "quay.io"); err != nil || ok {
		t.Errorf("another registry: %v, %v", got, err)
	}
	if asked != 1 {
		t.Errorf("AWS was asked %d times", asked)
	}
	lasts = time.Minute
	other := strings.Replace(host, "1234", "9999", 1)
	mustLogin(t, clouds, other)
	if got := mustLogin(t, clouds, other); got.Password != "password-3" {
		t.Errorf("a password that is about to expire is kept: %+v", got)
	}
	server.Close()
	_, ok, err := clouds.Login(t.Context(), other)
	if err == nil || ok || !strings.Contains(err.Error(), "asking AWS for a password of "+other) || !strings.Contains(err.Error(), "hint: ") {
		t.Errorf("no answer: %v", err)
	}
}

func TestUnknownCloud(t *testing.T) {
	if _, err := New(nil, AWS, "hetzner"); err == nil || !strings.Contains(err.Error(), `cloud "hetzner" is not known; hint:`) {
		t.Errorf("%v", err)
	}
	if _, ok, err := new(Clouds).Login(t.Context(), "gcr.io"); ok || err != nil {
		t.Errorf("no cloud: %v, %v", ok, err)
	}
}

func TestGCP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			t.Errorf("asked with %q", r.FormValue("grant_type"))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "google-token", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	defer server.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "bot@acme.iam.gserviceaccount.com", "token_uri": server.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	clouds, err := New(http.DefaultTransport, GCP)
	if err != nil {
		t.Fatal(err)
	}
	if got := mustLogin(t, clouds, "europe-docker.pkg.dev"); got != (Login{"oauth2accesstoken", "google-token"}) {
		t.Errorf("%+v", got)
	}
}

func TestAzure(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
			base := "https://" + r.Host + "/tenant"
			_ = json.NewEncoder(w).Encode(map[string]string{
				"issuer": base, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/oauth2/v2.0/token",
			})
		case strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token"):
			if !strings.Contains(r.FormValue("scope"), azureScope) {
				t.Errorf("the scope is %q", r.FormValue("scope"))
			}
			fmt.Fprint(w, `{"access_token": "entra-token", "token_type": "Bearer", "expires_in": 3600}`)
		case r.URL.Path == "/oauth2/exchange" && r.FormValue("service") == "acme.azurecr.io" && r.FormValue("access_token") == "entra-token":
			fmt.Fprint(w, `{"refresh_token": "registry-token"}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // that the server's certificate is for
	to := strings.TrimPrefix(server.URL, "https://")
	redirected := roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Host, r.URL.Host = r.URL.Host, to
		return transport.RoundTrip(r)
	})
	identity, err := azidentity.NewClientSecretCredential("tenant", "client", "secret", &azidentity.ClientSecretCredentialOptions{
		ClientOptions: azcore.ClientOptions{
			Transport: &http.Client{Transport: redirected}, Cloud: azcloud.Configuration{ActiveDirectoryAuthorityHost: server.URL},
		}, DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &azure{transport: redirected, identity: identity}
	got, until, err := a.login(t.Context(), "acme.azurecr.io")
	if err != nil || got.Password != "registry-token" || got.Username != azureUser || !until.After(time.Now()) {
		t.Errorf("%+v, %s, %v", got, until, err)
	}
	if _, _, err := a.login(t.Context(), "other.azurecr.io"); err == nil || !strings.Contains(err.Error(), "the registry answers 401") || !strings.Contains(err.Error(), "AcrPull") {
		t.Errorf("a registry that refuses: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := a.login(ctx, "acme.azurecr.io"); err == nil {
		t.Error("a cancelled login succeeds")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
