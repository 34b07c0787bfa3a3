// Package registry asks registries about container images: which tags there are, what digest
// a tag has, which platforms are behind it. It is the only package that uses
// go-containerregistry, and bounds what it reads.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// ErrNotFound says that a registry does not have the repository, the tag or the digest.
var ErrNotFound = errors.New("the registry does not have it")

// RestError says that a host is not asked before Until, because it said that it is busy.
type RestError struct {
	Host  string
	Until time.Time
}

func (e *RestError) Error() string {
	return fmt.Sprintf("%s is busy and is left alone until %s", e.Host, e.Until.UTC().Format(time.RFC3339))
}

// Keychain finds credentials for registries.
type Keychain = authn.Keychain

// Options say how registries are reached. The zero value is ready.
type Options struct {
	// Keychain authenticates. Nil: Docker's configuration and its helpers.
	Keychain Keychain
	// Transport carries every request. Nil: one with time-outs of its own.
	Transport http.RoundTripper
	// PlainHTTP allows http:// to registries on other machines.
	PlainHTTP bool
	// TokenServers are HOST[:PORT] that may be asked for tokens beside those below the
	// registry's own domain.
	TokenServers []string
	// Rate is how many requests a second one host gets at most, AtOnce how many at a time.
	// Zero: 20 and 8.
	Rate   float64
	AtOnce int
}

// Client asks registries. It is safe for concurrent use, and made once for a process: what it
// learns about hosts and repositories makes later questions cheaper.
type Client struct {
	opts Options
}

// New makes a client. It asks nobody yet.
func New(opts Options) (*Client, error) { return &Client{opts: opts}, nil }

// Listing is how a list of tags came about.
type Listing struct {
	Count     int  // tags that were offered
	Invalid   int  // names that no tag can have; they are not offered
	Complete  bool // every tag was offered, not only those with the prefixes
	Unchanged bool // the registry says that the list is what it was the last time; it is offered all the same
	Requests  int  // for pages
}

// Want is what one image wants of a repository's list.
type Want struct {
	// Prefixes: tags that begin with none of them may be left out. Nil: none may.
	Prefixes []string
	// Offer gets tags in the registry's order, from one goroutine.
	Offer func(tag string)
}

// Tags hands every tag of a repository to offer, or at least those that begin with one of
// prefixes. After an error what was offered is not the whole list, and is to be thrown away.
func (c *Client) Tags(ctx context.Context, repo string, prefixes []string, offer func(tag string)) (Listing, error) {
	return c.List(ctx, repo, Want{Prefixes: prefixes, Offer: offer})
}

// List is Tags for several images of one repository, which share one list.
func (c *Client) List(ctx context.Context, repo string, wants ...Want) (Listing, error) {
	return Listing{}, errors.New("not yet")
}

// Digest is the digest that a tag has now (sha256:HEX). ErrNotFound: there is no such tag.
func (c *Client) Digest(ctx context.Context, repo, tag string) (string, error) {
	return "", errors.New("not yet")
}

// Platforms are those of the image or index with a digest, as OS/ARCHITECTURE[/VARIANT],
// sorted. Empty: it says none, as a Helm chart does.
func (c *Client) Platforms(ctx context.Context, repo, digest string) ([]string, error) {
	return nil, errors.New("not yet")
}

// Hint says that a webhook spoke about a repository: the next list is asked for as a whole,
// without relying on what is known of the last one.
func (c *Client) Hint(repo string) {}

// Host is what is known about a registry's host.
type Host struct {
	Name      string
	Rest      time.Time // it is not asked before; zero: it may be
	Limit     int       // pulls that it allows in Window; 0: it has not said
	Remaining int       // of Limit, when it last said
	Window    time.Duration
}

// Hosts are the hosts that were asked, by name.
func (c *Client) Hosts() []Host { return nil }

// HasPlatform says that platforms, as Platforms tells them, hold want. linux/arm64 and
// linux/arm64/v8 are one, and so are linux/arm and linux/arm/v7.
func HasPlatform(platforms []string, want string) bool { return false }

// Same says that two spellings name one repository: nginx is docker.io/library/nginx.
func Same(a, b string) bool {
	x, err := name.NewRepository(a)
	if err != nil {
		return false
	}
	y, err := name.NewRepository(b)
	return err == nil && strings.EqualFold(x.Name(), y.Name())
}
