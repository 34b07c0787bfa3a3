package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Pace is how long a registry may take.
type Pace struct {
	Header time.Duration // until an answer begins
	Window time.Duration // in which a body brings Bytes bytes at least, or ends
	Bytes  int64
}

// DefaultPace suits registries of any size.
func DefaultPace() Pace {
	return Pace{Header: 30 * time.Second, Window: 10 * time.Second, Bytes: 16 << 10}
}

// headerTime grows with what is sent first, at the slowest pace allowed.
func (p Pace) headerTime(request *http.Request) time.Duration {
	return p.Header + time.Duration(max(request.ContentLength, 0)/max(p.Bytes, 1))*p.Window
}

// body hangs up when too little arrives in a window.
type body struct {
	io.ReadCloser
	ctx    context.Context // of the request, whose cause explains a failed read
	cancel context.CancelCauseFunc
	read   atomic.Int64
	done   chan struct{}
	closed atomic.Bool
}

func watch(ctx context.Context, cancel context.CancelCauseFunc, from io.ReadCloser, p Pace) io.ReadCloser {
	b := &body{ReadCloser: from, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	go b.pace(p)
	return b
}

func (b *body) pace(p Pace) {
	tick := time.NewTicker(p.Window)
	defer tick.Stop()
	before := int64(0)
	for {
		select {
		case <-b.done:
			return
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		now := b.read.Load()
		if now-before < p.Bytes {
			b.cancel(ErrSlow)
			return
		}
		before = now
	}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(b.ctx), ErrSlow) {
		err = ErrSlow
	}
	return n, err
}

func (b *body) Close() error {
	if b.closed.CompareAndSwap(false, true) {
		close(b.done)
		defer b.cancel(nil)
	}
	return b.ReadCloser.Close()
}
