package registry

import (
	"fmt"
	"io"
	"net/http"

	"sealift.dev/internal/httpx"
)

// bounded says who asks, refuses unencrypted requests to other machines, and ends an answer
// that is larger than limit bytes with an error.
type bounded struct {
	inner     http.RoundTripper
	limit     int64
	plainHTTP bool
}

func (t *bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" && !t.plainHTTP && !httpx.IsLoopback(request.URL.Hostname()) {
		return nil, fmt.Errorf("%s is not encrypted; hint: use https, or allow plain HTTP", request.URL.Host)
	}
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", "sealift")
	response, err := t.inner.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = &boundedBody{ReadCloser: response.Body, host: request.URL.Host, left: t.limit, limit: t.limit}
	return response, nil
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
