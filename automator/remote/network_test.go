package remote

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealift.dev/internal/httpx"
	"sealift.dev/test/stage"
)

// TestPrivateAuthority: TLS by an authority of one's own, and a client with a certificate.
func TestPrivateAuthority(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	behind, err := url.Parse(s.git.URL)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, pool := clientCertificate(t)
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(behind))
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about clients that are refused
	front.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	front.StartTLS()
	defer front.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	open := func(n httpx.Network) *Repository {
		transport, err := n.Transport()
		if err != nil {
			t.Fatal(err)
		}
		return s.open(func(o *Options) { o.URL, o.Transport = front.URL+"/shop.git", transport })
	}
	mustBump(t, open(httpx.Network{CA: authority, ClientCert: certificate, ClientKey: key}), "a: 2\n", "a.yaml")
	_, err = open(httpx.Network{ClientCert: certificate, ClientKey: key}).Refs(t.Context(), "refs/heads/main")
	wantError(t, err, "certificate")
	_, err = open(httpx.Network{CA: authority}).Refs(t.Context(), "refs/heads/main")
	wantError(t, err, "certificate required")
}

// clientCertificate makes a certificate that is its own authority.
func clientCertificate(t *testing.T) (certificate, private []byte, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sealift"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), pool
}

// TestProxy: everything goes through a proxy, by names that only it knows.
func TestProxy(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	behind := strings.TrimPrefix(s.git.URL, "http://")
	var carried atomic.Int64
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if r.In.URL.Host == "git.example.com" {
			carried.Add(1)
			r.Out.URL.Scheme, r.Out.URL.Host = "http", behind
		}
	}})
	defer proxy.Close()
	transport, err := httpx.Network{Proxy: proxy.URL}.Transport()
	if err != nil {
		t.Fatal(err)
	}
	r := s.open(func(o *Options) {
		o.URL, o.Transport, o.PlainHTTP = "http://git.example.com/shop.git", transport, true
	})
	mustBump(t, r, "a: 2\n", "a.yaml")
	if carried.Load() != 5 {
		t.Errorf("the proxy carried %d requests, want 5", carried.Load())
	}
}

// countingConn counts all bytes of a connection, headers included.
type countingConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// TestIdleOnTheWire: with headers and credentials, an idle poll is less than a kilobyte.
func TestIdleOnTheWire(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	var bytes atomic.Int64
	transport := httpx.NewTransport()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return countingConn{conn, &bytes}, err
	}
	r := s.open(func(o *Options) {
		o.Transport = transport
		o.Credentials = func(context.Context) (string, string, error) { return "bot", strings.Repeat("t", 40), nil }
	})
	for range 2 {
		bytes.Store(0)
		if refs, err := r.Refs(t.Context(), "refs/heads/main"); err != nil || len(refs) != 1 {
			t.Fatal(refs, err)
		}
	}
	if n := bytes.Load(); n > 1000 {
		t.Errorf("%d bytes", n)
	}
	t.Logf("%d bytes", bytes.Load())
}

// TestNothingIsLeftRunning compares goroutines before and after passes that end well and badly.
func TestNothingIsLeftRunning(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	overSSH, git := newSSHServer(t, stage.SSHGitOptions{})
	s.run(s.work, "push", "-q", git.Path("it's.git"), "main:main", "--force")
	stop := make(chan struct{})
	s.first = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stuck.git/info/refs" {
			select {
			case <-r.Context().Done():
			case <-stop:
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	defer close(stop)
	before := runtime.NumGoroutine()
	for range 3 {
		for _, r := range []*Repository{s.open(), overSSH.open(login(git))} {
			mustBump(t, r, rand.Text()+"\n", "a.yaml")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := r.Refs(ctx, "refs/heads/main"); err == nil {
				t.Error("a cancelled request is answered")
			}
			r.Close()
		}
		stuck := s.open(func(o *Options) { o.URL = s.git.URL + "/stuck.git" })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := stuck.Refs(ctx, "refs/heads/main"); err == nil {
			t.Error("a stuck request is answered")
		}
		cancel()
		stuck.Close()
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before+2; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}
