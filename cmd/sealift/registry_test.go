package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// sealift runs one command line.
func sealift(t *testing.T, args ...string) (code int, out, problem string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(args, streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

// TestRegistryFlags reaches a registry with a certificate authority of its own, by
// name, through a proxy, and not at all.
func TestRegistryFlags(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := httptest.NewUnstartedServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "oci://" + strings.TrimPrefix(server.URL, "https://") + "/deploy/shop:main"
	for name, c := range map[string]struct {
		flags []string
		code  int
		want  string
	}{
		"unknown authority":    {nil, exitError, "hint: trust the registry's certificate authority with --registry-ca"},
		"with its authority":   {[]string{"--registry-ca", ca}, exitError, "not found"}, // the registry answers
		"without a proxy":      {[]string{"--registry-ca", ca, "--proxy", "none"}, exitError, "not found"},
		"a proxy that is down": {[]string{"--registry-ca", ca, "--proxy", "http://127.0.0.1:1"}, exitError, "proxyconnect"},
		"no private address":   {[]string{"--registry-ca", ca, "--no-private-addresses"}, exitError, "127.0.0.1 is a private address"},
		"no such proxy":        {[]string{"--proxy", "ftp://x"}, exitUsage, "has no acceptable URL"},
		"no such file":         {[]string{"--registry-ca", filepath.Join(dir, "missing")}, exitError, "--registry-ca"},
		"a server by URL":      {[]string{"--token-server", "https://auth.example.com"}, exitUsage, "is not HOST[:PORT]"},
		"no token server":      {[]string{"--token-server", ""}, exitUsage, "is not HOST[:PORT]"},
		"a token server":       {[]string{"--registry-ca", ca, "--token-server", "[::1]:5000", "--token-server", "auth.example.com"}, exitError, "not found"},
		"no such cloud":        {[]string{"--registry-ca", ca, "--registry-cloud", "elsewhere"}, exitUsage, `cloud "elsewhere" is not known; hint: aws, azure or gcp`},
		"a cloud of others":    {[]string{"--registry-ca", ca, "--registry-cloud", "aws", "--registry-cloud", "gcp"}, exitError, "not found"},
		"half a pair":          {[]string{"--registry-cert", ca}, exitUsage, "client certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, problem := sealift(t, append([]string{"inspect", address}, c.flags...)...)
			if code != c.code || !strings.Contains(problem, c.want) || out != "" {
				t.Errorf("code %d: %s", code, problem)
			}
		})
	}
}
