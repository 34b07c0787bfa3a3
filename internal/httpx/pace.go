package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Pace is how long a server may take.
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

// Send carries request by base and hangs up, with ErrSlow, on an answer that is too slow.
func (p Pace) Send(base http.RoundTripper, request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	late := time.AfterFunc(p.headerTime(request), func() { cancel(ErrSlow) })
	response, err := base.RoundTrip(request.WithContext(ctx))
	late.Stop()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, ErrSlow) {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	response.Body = p.Watch(ctx, cancel, response.Body)
	return response, nil
}

// Watch reads from a stream and cancels ctx, with ErrSlow, when it is too slow. Closing what it
// returns closes from and cancels ctx.
func (p Pace) Watch(ctx context.Context, cancel context.CancelCauseFunc, from io.ReadCloser) io.ReadCloser {
	return watch(ctx, cancel, from, p)
}

// body hangs up when too little arrives in a window. Only the time counts in
// which somebody reads: a slow reader is not the registry's fault.
type body struct {
	io.ReadCloser
	ctx     context.Context // of the request, whose cause explains a failed read
	cancel  context.CancelCauseFunc
	read    atomic.Int64 // bytes
	waited  atomic.Int64 // nanoseconds in reads that ended
	pending atomic.Int64 // when the read that goes on began, in nanoseconds; 0: none
	done    chan struct{}
	closed  atomic.Bool
}

func watch(ctx context.Context, cancel context.CancelCauseFunc, from io.ReadCloser, p Pace) io.ReadCloser {
	b := &body{ReadCloser: from, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	go b.pace(p)
	return b
}

func (b *body) pace(p Pace) {
	tick := time.NewTicker(max(p.Window/4, 1))
	defer tick.Stop()
	read, waited := int64(0), time.Duration(0) // when the window began
	for {
		select {
		case <-b.done:
			return
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		if b.waiting()-waited < p.Window {
			continue
		}
		if b.read.Load()-read < p.Bytes {
			b.cancel(ErrSlow)
			return
		}
		read, waited = b.read.Load(), b.waiting()
	}
}

// waiting is how long was waited for bytes altogether.
func (b *body) waiting() time.Duration {
	total := b.waited.Load()
	if began := b.pending.Load(); began != 0 {
		total += time.Now().UnixNano() - began
	}
	return time.Duration(total)
}

func (b *body) Read(p []byte) (int, error) {
	began := time.Now()
	b.pending.Store(began.UnixNano())
	n, err := b.ReadCloser.Read(p)
	b.pending.Store(0)
	b.waited.Add(int64(time.Since(began)))
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
