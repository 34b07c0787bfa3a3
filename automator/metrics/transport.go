package metrics

import (
	"io"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Transport counts the answers that base gets, and the bytes of bodies in both directions.
// To is what the requests go to: registry, git, forge.
func (m *Metrics) Transport(to string, base http.RoundTripper) http.RoundTripper {
	return &transport{metrics: m, to: to, base: base}
}

type transport struct {
	metrics *Metrics
	to      string
	base    http.RoundTripper
}

func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	host := t.metrics.named(t.metrics.hosts, request.URL.Host)
	if request.Body != nil {
		clone := *request
		clone.Body = &counted{ReadCloser: request.Body, to: t.metrics.bytes.WithLabelValues(t.to, "sent")}
		request = &clone
	}
	response, err := t.base.RoundTrip(request)
	code := 0
	if err == nil {
		code = response.StatusCode
		response.Body = &counted{ReadCloser: response.Body, to: t.metrics.bytes.WithLabelValues(t.to, "received")}
	}
	t.metrics.requests.WithLabelValues(t.to, host, strconv.Itoa(code)).Inc()
	return response, err
}

// CloseIdleConnections hangs up what is not in use.
func (t *transport) CloseIdleConnections() {
	if closer, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

type counted struct {
	io.ReadCloser
	to prometheus.Counter
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.to.Add(float64(n))
	return n, err
}
