package automator

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"sealift.dev/internal/httpx"
)

// complete checks the options and fills in the defaults.
func (o Options) complete() (Options, error) {
	if o.Author == (Author{}) {
		o.Author = Author{Name: "Sealift", Email: "automator@sealift.dev"}
	}
	if o.Author.Name == "" || strings.ContainsAny(o.Author.Name+o.Author.Email, "<>\r\n\x00") {
		return o, fmt.Errorf("author %q <%q>: a name is needed, and neither may hold <, > or line breaks", o.Author.Name, o.Author.Email)
	}
	if o.Keychain == nil {
		o.Keychain = authn.DefaultKeychain
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	return o, o.checkRepo()
}

// checkRepo keeps secrets out of URLs, and off unencrypted connections.
func (o Options) checkRepo() error {
	u, err := url.Parse(o.Repo)
	switch {
	case err != nil:
		// The parser's own message repeats the URL, which may hold a password.
		return errors.New("the repository's URL does not parse; hint: write https://HOST/PATH")
	case u.User != nil:
		return fmt.Errorf("repository %s: credentials do not belong in the URL; hint: pass username and password apart", u.Redacted())
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("repository %q: only https:// and http:// are supported; hint: write https://HOST/PATH", o.Repo)
	case u.Host == "":
		return fmt.Errorf("repository %q has no host; hint: write https://HOST/PATH", o.Repo)
	}
	return nil
}

func newTransport() http.RoundTripper {
	transport := httpx.NewTransport()
	transport.ResponseHeaderTimeout = time.Minute
	return transport
}

// boundedTransport refuses unencrypted requests to other machines, and ends an
// answer that is larger than limit bytes with an error.
type boundedTransport struct {
	inner     http.RoundTripper
	limit     int64
	plainHTTP bool
}

func (t *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !t.plainHTTP && !isLoopback(req.URL.Hostname()) {
		return nil, fmt.Errorf("%s is not encrypted; hint: use https, or allow plain HTTP", req.URL.Host)
	}
	resp, err := t.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, host: req.URL.Host, left: t.limit, limit: t.limit}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	host        string
	left, limit int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, fmt.Errorf("the answer of %s is larger than %d bytes", b.host, b.limit)
	}
	return n, err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
