package httpx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func get(t *testing.T, n Network, address string) (string, error) {
	t.Helper()
	transport, err := n.Transport()
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(address)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return string(data), err
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// clientPair makes a certificate of a client, signed by itself.
func clientPair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "robot"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", encoded)
}

func TestPrivateAuthorityAndClientCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := inPEM("CERTIFICATE", server.Certificate().Raw)
	var unknown x509.UnknownAuthorityError
	if _, err := get(t, Network{}, server.URL); !errors.As(err, &unknown) {
		t.Error("without the authority:", err)
	}
	if who, err := get(t, Network{CA: ca}, server.URL); err != nil || who != "" {
		t.Error(who, err)
	}
	cert, key := clientPair(t)
	if who, err := get(t, Network{CA: ca, ClientCert: cert, ClientKey: key}, server.URL); err != nil || who != "robot" {
		t.Error(who, err)
	}
	for name, bad := range map[string]Network{
		"no PEM":        {CA: []byte("x")},
		"half a pair":   {ClientCert: cert},
		"another's key": {ClientCert: cert, ClientKey: []byte("x")},
		"proxy":         {Proxy: "ftp://proxy"},
		"proxy's host":  {Proxy: "proxy.example.com:3128"},
		"proxy's text":  {Proxy: "http://u:hunter2@[x"},
	} {
		if _, err := bad.Transport(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"8.8.8.8": "public", "2001:4860:4860::8888": "public", "172.32.0.1": "public", "100.128.0.1": "public",
		"64:ff9b::808:808": "public", "::ffff:8.8.8.8": "public",
		"10.1.2.3": "private", "172.16.0.1": "private", "192.168.1.1": "private", "127.0.0.1": "private", "::1": "private",
		"100.64.0.1": "private", "0.0.0.0": "private", "::": "private", "fd00::1": "private", "224.0.0.1": "private",
		"255.255.255.255": "private", "198.18.0.1": "private", "::ffff:10.0.0.1": "private", "::10.0.0.1": "private",
		"64:ff9b::a00:1": "private", "2002:a00:1::": "private", "fec0::1": "private", "ff02::1": "private",
		"169.254.169.254": "metadata", "fe80::1": "metadata", "fe80::1%eth0": "metadata", "fd00:ec2::254": "metadata",
		"fd00:ec2::23": "metadata", "fd20:ce::254": "metadata", "fd00:42::42": "metadata", "::ffff:0:169.254.169.254": "metadata", "::169.254.169.254": "metadata",
		"64:ff9b:1:a9fe:a9:fe00::": "metadata", "64:ff9b:1:a9:fe:a9fe::": "metadata", "64:ff9b:1:0:a9:fea9:fe00::": "metadata", "64:ff9b:1::a9fe:a9fe": "metadata",
		"64:ff9b:1:a00:0:100::": "private", "64:ff9b:1::808:808": "private", "2001::1": "private", "2001:1ff::1": "private", "2001:200::1": "public",
		"3fff::1": "private", "5f00::1": "private", "100:0:0:1::1": "private", "192.88.99.1": "private",
		"100.100.100.200": "metadata", "168.63.129.16": "metadata", "192.0.0.192": "metadata",
		"::ffff:169.254.169.254": "metadata", "64:ff9b::a9fe:a9fe": "metadata", "2002:a9fe:a9fe::": "metadata",
	} {
		a := netip.MustParseAddr(text)
		address := netip.AddrPortFrom(a, 443).String()
		open, closed := dialCheck(false)("tcp", address, nil), dialCheck(true)("tcp", address, nil)
		got := "public"
		if closed != nil {
			got = "private"
		}
		if open != nil {
			got = "metadata"
		}
		if got != want || closed != nil && !errors.Is(closed, ErrAddress) {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	if err := dialCheck(false)("unix", "/run/docker.sock", nil); !errors.Is(err, ErrAddress) {
		t.Error(err)
	}
}

// TestRefusePrivate looks at what a name resolves to, not at the name.
func TestRefusePrivate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer server.Close()
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, address := range []string{server.URL, byName} {
		if _, err := get(t, Network{}, address); err != nil {
			t.Error(err)
		}
		if _, err := get(t, Network{RefusePrivate: true}, address); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestProxy(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "for "+r.URL.Host)
	}))
	defer proxy.Close()
	direct := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "direct") }))
	defer direct.Close()
	// The environment's proxy is read once by net/http, and never used for loopback.
	if got, err := get(t, Network{Proxy: NoProxy}, direct.URL); err != nil || got != "direct" {
		t.Error(got, err)
	}
	if got, err := get(t, Network{Proxy: proxy.URL}, "http://registry.example.com/v2/"); err != nil || got != "for registry.example.com" {
		t.Error(got, err)
	}
	// The proxy itself may be on a private address.
	for host, refused := range map[string]bool{
		"registry.example.com": false, "8.8.8.8": false,
		"10.0.0.1": true, "localhost": true, "x.localhost": true, "127.1": true, "2130706433": true, "0x7f.1": true, "10.0.0.0x1": true, "[::1]": true,
		"１0.0.0.1": true, "10。0。0。1": true, "ｌocalhost": true, "bücher.example.com": false,
	} {
		before := asked.Load()
		_, err := get(t, Network{Proxy: proxy.URL, RefusePrivate: true}, "http://"+host+"/v2/")
		if refused != errors.Is(err, ErrAddress) || refused != (asked.Load() == before) {
			t.Errorf("%s: %v", host, err)
		}
	}
	// Metadata services are refused whether or not private addresses are.
	for host, refused := range map[string]bool{
		"10.0.0.1": false, "localhost": false, "169.254.169.254": true, "169.254.169.254.": true, "2852039166": true, "0xa9fea9fe": true,
		"１６９.254.169.254": true, "169。254。169。254": true, "metadata.google.internal.": true, "[fd20:ce::254]": true,
	} {
		before := asked.Load()
		_, err := get(t, Network{Proxy: proxy.URL}, "http://"+host+"/v2/")
		if refused != errors.Is(err, ErrAddress) || refused != (asked.Load() == before) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestPool(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	var pool Pool
	for range 3 {
		transport, err := pool.Transport(Network{Proxy: NoProxy})
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	if connections.Load() != 1 {
		t.Error(connections.Load(), "connections")
	}
	one, err := pool.Transport(Network{Proxy: NoProxy})
	if err != nil {
		t.Fatal(err)
	}
	for port := range maxPooled + 10 {
		other, err := pool.Transport(Network{Proxy: "http://proxy:" + big.NewInt(int64(port+1)).String()})
		if err != nil || other == one {
			t.Fatal(err)
		}
	}
	if len(pool.pooled) != maxPooled {
		t.Error(len(pool.pooled))
	}
	if _, err := pool.Transport(Network{CA: []byte("x")}); err == nil {
		t.Error("a bad authority was accepted")
	}
}
