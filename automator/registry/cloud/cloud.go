// Package cloud finds the credentials for registries that a cloud gives to the machine, or the
// pod, that asks: for Amazon's ECR, Azure's registry, and Google's Artifact Registry.
package cloud

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
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

// provider is one cloud.
type provider interface {
	// serves says that the cloud itself runs the registry at host: no other gets its credentials.
	serves(host string) bool
	// login is good until a time.
	login(ctx context.Context, host string) (authn.AuthConfig, time.Time, error)
}

// Keychain asks clouds where first knows nothing. transport carries the requests to
// registries; those to clouds go as their own libraries send them.
func Keychain(first authn.Keychain, transport http.RoundTripper, clouds ...string) (authn.Keychain, error) {
	k := &keychain{first: first, logins: map[string]login{}}
	for _, name := range clouds {
		switch name {
		case AWS:
			k.providers = append(k.providers, aws{})
		case Azure:
			k.providers = append(k.providers, &azure{transport: transport})
		case GCP:
			k.providers = append(k.providers, gcp{})
		default:
			return nil, fmt.Errorf("cloud %q is not known; hint: %s, %s or %s", name, AWS, Azure, GCP)
		}
	}
	return k, nil
}

type keychain struct {
	first     authn.Keychain
	providers []provider

	mu     sync.Mutex // held while a cloud is asked: one login for all repositories of a host
	logins map[string]login
}

type login struct {
	config authn.AuthConfig
	until  time.Time
}

// Resolve implements authn.Keychain.
func (k *keychain) Resolve(of authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), of)
}

// ResolveContext implements authn.ContextKeychain.
func (k *keychain) ResolveContext(ctx context.Context, of authn.Resource) (authn.Authenticator, error) {
	known, err := authn.Resolve(ctx, k.first, of)
	if err != nil || known != authn.Anonymous {
		return known, err
	}
	host := strings.ToLower(of.RegistryStr())
	for _, p := range k.providers {
		if p.serves(host) {
			return k.ask(ctx, p, host)
		}
	}
	return authn.Anonymous, nil
}

func (k *keychain) ask(ctx context.Context, p provider, host string) (authn.Authenticator, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, ok := k.logins[host]
	if !ok || time.Until(known.until) < early {
		config, until, err := p.login(ctx, host)
		if err != nil {
			return nil, err
		}
		if len(k.logins) >= maxLogins {
			clear(k.logins)
		}
		known = login{config, until}
		k.logins[host] = known
	}
	return authn.FromConfig(known.config), nil
}
