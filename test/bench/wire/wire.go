// Package wire counts what goes over connections.
package wire

import (
	"net"
	"sync/atomic"
)

// Meter counts bytes, headers included. The zero value has counted nothing; it is safe for
// concurrent use.
type Meter struct{ received, sent atomic.Int64 }

// Received is how many bytes came from clients so far.
func (m *Meter) Received() int64 { return m.received.Load() }

// Sent is how many bytes went to clients so far.
func (m *Meter) Sent() int64 { return m.sent.Load() }

// Total is both directions.
func (m *Meter) Total() int64 { return m.Received() + m.Sent() }

// Listen counts the connections of a server.
func (m *Meter) Listen(l net.Listener) net.Listener { return listener{l, m} }

type listener struct {
	net.Listener
	meter *Meter
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return connection{conn, l.meter}, err
}

type connection struct {
	net.Conn
	meter *Meter
}

func (c connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.received.Add(int64(n))
	return n, err
}

func (c connection) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.sent.Add(int64(n))
	return n, err
}
