package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// TestKeylessDelivery: a TrustPolicy names a workflow, and nothing but its releases get
// in: a fork's are refused by name, and run on does what was there.
func TestKeylessDelivery(t *testing.T) {
	w := onSync(t)
	bin, err := parts.Ensure(t.Context(), os.Stderr, stage.SigstoreParts()...)
	must(t, err)
	sigstore, err := stage.StartSigstore(t.Context(), bin, t.TempDir())
	must(t, err)
	t.Cleanup(sigstore.Stop)
	publish := func(value string, claims map[string]any) published {
		_, err := stage.Commit(w.work, "change", map[string]string{"deploy/a.yaml": configMap("a", value)})
		must(t, err)
		commit, err := stage.Git(w.work, "rev-parse", "HEAD")
		must(t, err)
		claims["sha"] = strings.TrimSpace(commit)
		token, err := sigstore.Token(t.Context(), "github", claims)
		must(t, err)
		file := filepath.Join(w.dir, "token")
		must(t, os.WriteFile(file, []byte(token), 0o600))
		out, problem, err := w.sealift("publish", "--to", w.repository(), "--identity-token", file, "--signing-config", sigstore.SigningConfig,
			"--trusted-root", sigstore.TrustedRoot, "--environment", "prod=deploy", "--no-pin", "--plain-http", "-o", "json")
		if err != nil {
			t.Fatalf("publishing: %v: %s", err, problem)
		}
		var p published
		must(t, json.Unmarshal([]byte(out), &p))
		return p
	}
	root, err := os.ReadFile(sigstore.TrustedRoot)
	must(t, err)
	identity := fmt.Sprintf("issuer: %q, subject: 'https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main', "+
		"sourceRepository: 'https://github.com/acme/deploy', trustedRoot: {data: %q}", sigstore.Issuers["github"], root)
	w.trustPolicy("authorities: [{name: workflow, keyless: {" + identity + "}}]")
	w.deliverBare(w.source("tag: main", ""))
	first := publish("1", map[string]any{})
	w.delivered(first)
	if _, _, message := w.status().ready(); !strings.Contains(message, "signed by workflow") {
		t.Errorf("the message does not name the signer: %s", message)
	}

	publish("2", map[string]any{"repository": "mallory/deploy", "repository_owner": "mallory",
		"job_workflow_ref": "mallory/deploy/.github/workflows/publish.yml@refs/heads/main", "workflow_ref": "mallory/deploy/.github/workflows/publish.yml@refs/heads/main"})
	if message := w.refused("Untrusted"); !strings.Contains(message, "mallory/deploy") || !strings.Contains(message, "still running") {
		t.Errorf("the message does not name the fork: %s", message)
	}
	w.healed("a", "1")
	w.delivered(publish("3", map[string]any{}))

	w.trustPolicy("authorities: [{name: workflow, keyless: {" + strings.Replace(identity, "refs/heads/main", "refs/heads/release", 1) + "}}]")
	if message := w.refused("TrustRevoked"); !strings.Contains(message, "refs/heads/release") {
		t.Errorf("the message does not name what is expected: %s", message)
	}
	w.frozen("a")
}

// TestCertSecret: a registry with a certificate of its own authority, which wants one of
// its clients, is reached by what a Secret holds.
func TestCertSecret(t *testing.T) {
	w := onSync(t)
	cert, key := clientCertificate(t)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(cert)
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: w.registry.Host}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	files := map[string][]byte{"ca.crt": ca, "tls.crt": cert, "tls.key": key}
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(w.dir, name), content, 0o600))
	}
	w.registry = &stage.Registry{Host: strings.TrimPrefix(server.URL, "https://")}
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")}, "--plain-http=false",
		"--registry-ca", w.dir+"/ca.crt", "--registry-cert", w.dir+"/tls.crt", "--registry-key", w.dir+"/tls.key")

	source := strings.Replace(w.source("tag: main", ""), ", insecure: true", "", 1)
	w.deliver(source)
	w.refused("RegistryUnavailable")
	with := strings.Replace(source, "tag: main", "tag: main, certSecretRef: {name: tls}", 1)
	w.deliver(with)
	w.refused("CertSecretNotFound")
	secret := func(stored map[string][]byte) {
		var b strings.Builder
		for name, content := range stored {
			fmt.Fprintf(&b, "  %s: %q\n", name, content)
		}
		w.apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: tls, namespace: %s}\nstringData:\n%s", w.name, b.String()))
	}
	secret(map[string][]byte{"ca.crt": []byte("nonsense")})
	w.refused("CertSecretNotFound")
	secret(map[string][]byte{"ca.crt": ca})
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "sealift.dev/requestedAt=1")
	w.refused("RegistryUnavailable")
	secret(files)
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "--overwrite", "sealift.dev/requestedAt=2")
	w.delivered(first)
}

// clientCertificate is a certificate that signs itself, and its key.
func clientCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sealift"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}
