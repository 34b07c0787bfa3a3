package artifact

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// Credential is what a registry knows a client by. The zero value is anonymous.
type Credential struct {
	Username, Password string
	IdentityToken      string // an OAuth2 refresh token
	RegistryToken      string // a bearer token, sent as it is
}

// Credentials finds the credential for a host, which has a port if it needs one.
type Credentials func(ctx context.Context, host string) (Credential, error)

// DockerCredentials looks up credentials in Docker's config file ($DOCKER_CONFIG
// or ~/.docker/config.json) and the helpers that it names. Where there is no such
// file, everybody is anonymous.
func DockerCredentials() (Credentials, error) {
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading Docker's configuration: %w", err)
	}
	find := credentials.Credential(store)
	return func(ctx context.Context, host string) (Credential, error) {
		c, err := find(ctx, host)
		return credentialOf(c), err
	}, nil
}

func credentialOf(c auth.Credential) Credential {
	return Credential{Username: c.Username, Password: c.Password, IdentityToken: c.RefreshToken, RegistryToken: c.AccessToken}
}

// maxDockerConfig is the largest Secret.
const maxDockerConfig = 1 << 20

// DockerConfigCredentials reads the content of a pull secret of the type
// kubernetes.io/dockerconfigjson. Credential helpers in it are never run.
func DockerConfigCredentials(config []byte) (Credentials, error) {
	if len(config) > maxDockerConfig {
		return nil, fmt.Errorf("a Docker configuration of more than %d bytes: %w", maxDockerConfig, ErrLimit)
	}
	var parsed struct {
		Auths map[string]dockerAuth `json:"auths"`
	}
	if err := unmarshal(config, &parsed); err != nil {
		return nil, fmt.Errorf("a Docker configuration: %w", err)
	}
	known := map[string]Credential{}
	for _, address := range addresses(parsed.Auths) {
		c, err := parsed.Auths[address].credential()
		if err != nil {
			return nil, fmt.Errorf("a Docker configuration, for %q: %w", clip(address), err)
		}
		if _, has := known[hostOf(address)]; !has {
			known[hostOf(address)] = c
		}
	}
	return func(_ context.Context, host string) (Credential, error) { return known[hostOf(host)], nil }, nil
}

// addresses are the keys of auths: of several for one host, the first counts, which
// is that for all of it, and always the same.
func addresses(auths map[string]dockerAuth) []string {
	path := func(address string) string {
		_, path, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://"), "/")
		if path = strings.Trim(path, "/"); path == "v1" || path == "v2" {
			return "" // of the API, not of a repository
		}
		return path
	}
	return slices.SortedFunc(maps.Keys(auths), func(a, b string) int {
		return cmp.Or(cmp.Compare(path(a), path(b)), cmp.Compare(a, b))
	})
}

type dockerAuth struct {
	Auth          string `json:"auth"` // base64 of USERNAME:PASSWORD
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func (a dockerAuth) credential() (Credential, error) {
	c := Credential{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
	if a.Auth == "" {
		return c, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(a.Auth)
	if err != nil {
		return Credential{}, errors.New("auth is not base64")
	}
	username, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return Credential{}, errors.New("auth does not hold USERNAME:PASSWORD")
	}
	c.Username, c.Password = username, strings.TrimRight(password, "\x00")
	return c, nil
}

// hostOf takes the host from what Docker writes, such as
// https://index.docker.io/v1/; the names of Docker Hub are one.
func hostOf(address string) string {
	address = strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	host, _, _ := strings.Cut(address, "/")
	switch host = strings.ToLower(host); host {
	case dockerHub, "index.docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return host
}
