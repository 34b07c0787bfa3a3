package httpx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// NoProxy is a Network's Proxy that lets no request through a proxy, whatever the
// environment says.
const NoProxy = "none"

// Network says how hosts are reached. The zero value trusts the system's
// authorities and uses the proxy that the environment names.
type Network struct {
	// CA holds certificates of authorities, in PEM, that are trusted beside the system's.
	CA []byte
	// ClientCert and ClientKey, in PEM, are shown to servers that ask for a
	// certificate: both or none.
	ClientCert, ClientKey []byte
	// Proxy is the URL of a proxy for everything (http, https, socks5), NoProxy, or
	// empty for what the environment says.
	Proxy string
	// RefusePrivate lets no private, loopback or other special address be dialled,
	// after its name is resolved. A proxy may have such an address; what a proxy
	// resolves cannot be seen, beyond addresses that are written out.
	RefusePrivate bool
}

// NewTransport is a transport with time-outs that dials no link-local address.
func NewTransport() *http.Transport {
	transport := plainTransport(false)
	transport.Proxy = http.ProxyFromEnvironment
	return transport
}

// Transport makes a transport with time-outs, with connections of its own.
func (n Network) Transport() (*Transport, error) {
	config, err := n.tls()
	if err != nil {
		return nil, err
	}
	proxy, err := n.proxy()
	if err != nil {
		return nil, err
	}
	t := &Transport{proxy: proxy, refusePrivate: n.RefusePrivate, direct: plainTransport(n.RefusePrivate), proxied: plainTransport(false)}
	t.direct.TLSClientConfig = config
	t.proxied.TLSClientConfig = config.Clone()
	t.proxied.Proxy = proxy
	return t, nil
}

func plainTransport(refusePrivate bool) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: dialCheck(refusePrivate)}
	return &http.Transport{
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

func (n Network) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(n.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without authorities of its own
		}
		if !pool.AppendCertsFromPEM(n.CA) {
			return nil, errors.New("reading the certificate authority: there is no certificate in PEM in it")
		}
		config.RootCAs = pool
	}
	if len(n.ClientCert) == 0 && len(n.ClientKey) == 0 {
		return config, nil
	}
	pair, err := tls.X509KeyPair(n.ClientCert, n.ClientKey)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate and its key: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

func (n Network) proxy() (func(*http.Request) (*url.URL, error), error) {
	switch n.Proxy {
	case "":
		return http.ProxyFromEnvironment, nil
	case NoProxy:
		return func(*http.Request) (*url.URL, error) { return nil, nil }, nil
	}
	at, err := url.Parse(n.Proxy)
	if err != nil {
		return nil, errors.New("the proxy's URL does not parse") // it may hold a password, which the cause repeats
	}
	if at.Scheme != "http" && at.Scheme != "https" && at.Scheme != "socks5" || at.Host == "" {
		return nil, fmt.Errorf("the proxy %q has no acceptable URL; hint: write http://HOST:PORT, https:// or socks5://, or %q", at.Redacted(), NoProxy)
	}
	return http.ProxyURL(at), nil
}

// Transport carries requests directly or through a proxy. It is safe for
// concurrent use.
type Transport struct {
	direct, proxied *http.Transport
	proxy           func(*http.Request) (*url.URL, error)
	refusePrivate   bool
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	through, err := t.proxy(request)
	if err != nil {
		return nil, fmt.Errorf("choosing a proxy: %w", err)
	}
	if through == nil {
		return t.direct.RoundTrip(request)
	}
	if err := checkProxied(request.URL.Hostname(), t.refusePrivate); err != nil {
		return nil, err
	}
	return t.proxied.RoundTrip(request)
}

// CloseIdleConnections hangs up what is not in use.
func (t *Transport) CloseIdleConnections() {
	t.direct.CloseIdleConnections()
	t.proxied.CloseIdleConnections()
}
