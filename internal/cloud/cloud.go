// Package cloud finds the passwords for registries that a cloud gives to the machine, or the
// pod, that asks: for Amazon's ECR, Azure's registry, and Google's Artifact Registry.
package cloud

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The clouds, by Flux's names for them.
const (
	AWS   = "aws"
	Azure = "azure"
	GCP   = "gcp"
)

// Limits of what is remembered. A login is made again some time before it expires.
const (
	maxLogins = 1000
	early     = 5 * time.Minute
)

// Login is good for every repository of a host that its identity may read.
type Login struct{ Username, Password string }

// provider is one cloud.
type provider interface {
	// serves says that the cloud itself runs the registry at host: no other gets its passwords.
	serves(host string) bool
	// login is good until a time.
	login(ctx context.Context, host string) (Login, time.Time, error)
}

// Clouds are asked for logins. They are safe for concurrent use; none is ready, and knows nothing.
type Clouds struct {
	providers []provider

	mu     sync.Mutex // held while a cloud is asked: one login for all who want it
	logins map[string]login
}

type login struct {
	Login
	until time.Time
}

// New asks the clouds with these names, and no others. transport carries the requests to
// registries; those to clouds go as their own libraries send them.
func New(transport http.RoundTripper, names ...string) (*Clouds, error) {
	c := &Clouds{logins: map[string]login{}}
	for _, name := range names {
		switch name {
		case AWS:
			c.providers = append(c.providers, aws{})
		case Azure:
			c.providers = append(c.providers, &azure{transport: transport})
		case GCP:
			c.providers = append(c.providers, gcp{})
		default:
			return nil, fmt.Errorf("cloud %q is not known; hint: %s, %s or %s", name, AWS, Azure, GCP)
		}
	}
	return c, nil
}

// Login is the one for a registry's host; false: none of the clouds runs it.
func (c *Clouds) Login(ctx context.Context, host string) (Login, bool, error) {
	host = strings.ToLower(host)
	for _, p := range c.providers {
		if p.serves(host) {
			found, err := c.ask(ctx, p, host)
			return found, err == nil, err
		}
	}
	return Login{}, false, nil
}

func (c *Clouds) ask(ctx context.Context, p provider, host string) (Login, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.logins[host]; ok && time.Until(known.until) >= early {
		return known.Login, nil
	}
	found, until, err := p.login(ctx, host)
	if err != nil {
		return Login{}, err
	}
	if len(c.logins) >= maxLogins {
		clear(c.logins)
	}
	c.logins[host] = login{found, until}
	return found, nil
}
