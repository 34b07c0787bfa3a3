// Package remote reads and writes one Git repository on a server: refs, trees, the blobs that
// are needed and no others, commits made of objects, and pushes that carry the old tip.
package remote

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
)

// Options say which repository, and how it is reached. Only URL is required.
type Options struct {
	// URL is https://HOST/PATH, ssh://[USER@]HOST[:PORT]/PATH, USER@HOST:PATH, or http://
	// on this machine. It holds no password.
	URL string
	// Credentials authenticate over HTTP. Nil: anonymous.
	Credentials Credentials
	// Transport carries HTTP. Nil: one with time-outs that trusts the system's authorities.
	Transport http.RoundTripper
	// PlainHTTP allows http:// to hosts other than this machine.
	PlainHTTP bool
	// SSH is needed for addresses of that kind.
	SSH SSH
	// Signer signs commits. Nil: they are not signed.
	Signer Signer
	// Limits bound what the server sends. Zero fields: the defaults.
	Limits Limits
}

// Credentials give a user's name and a password or token. They are asked for each time, and
// again after an answer 401, so that short-lived ones can be renewed. A token without a user
// is sent as a bearer token; two empty strings are anonymous.
type Credentials func(ctx context.Context) (user, password string, err error)

// SSH says how a server is known, and who comes to it.
type SSH struct {
	// Key is a private key, in PEM or OpenSSH's format; Passphrase opens it.
	Key, Passphrase []byte
	// KnownHosts has the servers' public keys, as ssh-keyscan prints them. A server that is
	// not in it is refused.
	KnownHosts []byte
}

// Limits bound one answer of the server.
type Limits struct {
	Transfer int64 // bytes as transferred; default 256 MiB
	Total    int64 // bytes of all objects, and of the deltas they come as; default 256 MiB
	Object   int64 // bytes of one object; default 64 MiB
	Objects  int   // default 1,000,000
	File     int64 // bytes of a file that Read returns; larger ones are dropped; default 1 MiB
	Cache    int64 // bytes of trees and files kept between snapshots; default 64 MiB
}

func (l Limits) complete() Limits {
	for _, field := range []struct {
		value *int64
		most  int64
	}{{&l.Transfer, 256 << 20}, {&l.Total, 256 << 20}, {&l.Object, 64 << 20}, {&l.File, 1 << 20}, {&l.Cache, 64 << 20}} {
		if *field.value == 0 {
			*field.value = field.most
		}
	}
	if l.Objects == 0 {
		l.Objects = 1_000_000
	}
	return l
}

// Repository is a Git repository on a server. It is safe for concurrent use, one request at a
// time. It remembers what the server can do, and the trees and files that it has read.
type Repository struct {
	url     string
	wire    wire
	signer  Signer
	limits  Limits
	traffic *traffic

	mu     sync.Mutex
	reader *greeting   // what the server said first; nil: not asked, or not valid any more
	writer *greeting   // the same, for pushes
	recent []*Snapshot // the last used first
	blobs  *cache
	logs   map[plumbing.Hash]Commit
}

// Traffic is what a Repository has exchanged with its server so far.
type Traffic struct {
	Requests       int64
	Sent, Received int64 // bytes of bodies, without headers
}

type traffic struct{ requests, sent, received atomic.Int64 }

// Traffic reports what has been exchanged so far.
func (r *Repository) Traffic() Traffic {
	return Traffic{Requests: r.traffic.requests.Load(), Sent: r.traffic.sent.Load(), Received: r.traffic.received.Load()}
}

// Open checks the options. It does not speak to the server.
func Open(o Options) (*Repository, error) {
	address, err := parseAddress(o.URL)
	if err != nil {
		return nil, err
	}
	o.Limits = o.Limits.complete()
	r := &Repository{
		url: o.URL, signer: o.Signer, limits: o.Limits, traffic: new(traffic),
		blobs: newCache(o.Limits.Cache), logs: map[plumbing.Hash]Commit{},
	}
	if address.Scheme != "ssh" {
		r.wire = newHTTPWire(address, o, r.traffic)
		return r, nil
	}
	if r.wire, err = newSSHWire(address, o, r.traffic); err != nil {
		return nil, fmt.Errorf("repository %s: %w", o.URL, err)
	}
	return r, nil
}

// Close hangs up connections that are kept between requests. The Repository can be used again.
func (r *Repository) Close() { r.wire.close() }
