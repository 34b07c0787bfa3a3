package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

// timestamp is the timestamp authority's own server, with a key in memory (RFC 3161).
type timestamp struct {
	url   string
	chain []*x509.Certificate // the leaf is the first, the root the last
}

func startTimestamp(ctx context.Context) (*timestamp, error) {
	const policy = "1.3.6.1.4.1.57264.2"
	for name, value := range map[string]any{ // how the server is configured
		"timestamp-signer": "memory", "timestamp-signer-hash": "sha256",
		"accepted-policy-oids": []string{policy}, "default-policy-oid": policy,
	} {
		viper.Set(name, value)
	}
	rest := server.NewRestAPIServer("127.0.0.1", 0, []string{"http"}, false, 10*time.Second, 10*time.Second)
	base, err := serve(rest.GetHandler())
	if err != nil {
		return nil, err
	}
	t := &timestamp{url: base + "/api/v1/timestamp"}
	t.chain, err = certificates(ctx, t.url+"/certchain")
	if err == nil && len(t.chain) < 3 {
		err = fmt.Errorf("%s has %d certificates, want leaf, intermediates and root", t.url, len(t.chain))
	}
	return t, err
}

func certificates(ctx context.Context, url string) ([]*x509.Certificate, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return cryptoutils.LoadCertificatesFromPEM(io.LimitReader(response.Body, 1<<20))
}
