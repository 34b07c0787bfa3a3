package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	meters "sealift.dev/test/bench/wire"
)

// wire is a registry in memory that counts what goes over its connections.
type wire struct {
	host    string
	handler atomic.Pointer[http.Handler]
	meter   meters.Meter
	server  *http.Server
}

func newWire() (*wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{host: listener.Addr().String()}
	w.server = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		(*w.handler.Load()).ServeHTTP(rw, r)
	})}
	go w.server.Serve(w.meter.Listen(listener)) // ends with close
	return w, w.empty()
}

func (w *wire) close() error { return w.server.Close() }

// bytes is how many went over the wire so far, both directions and headers included.
func (w *wire) bytes() int64 { return w.meter.Total() }

// image is what the manifests run.
func (w *wire) image() string { return w.host + "/apps/shop:1.0.0" }

// empty forgets everything but the image: what is there already would not be sent again.
func (w *wire) empty() error {
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	w.handler.Store(&handler)
	ref, err := name.ParseReference(w.image())
	if err != nil {
		return err
	}
	image, err := random.Image(1024, 1)
	if err != nil {
		return err
	}
	return remote.Write(ref, image)
}
