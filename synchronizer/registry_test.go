package synchronizer

import (
	"fmt"
	"testing"
	"time"

	"sealift.dev/artifact"
)

// TestClientsAreBounded: whose pull secret changes all the time, or who names ever new
// repositories, takes no client from others, and what a registry asked for is not forgotten.
func TestClientsAreBounded(t *testing.T) {
	s := New(nil, nil, Options{})
	const host = "registry.example.com"
	source := func(secret, path int) Source {
		return Source{Repository: artifact.Repository{Host: host, Path: fmt.Sprint("deploy/", path)},
			DockerConfig: fmt.Appendf(nil, `{"auths":{%q:{"username":"u","password":"%d"}}}`, host, secret)}
	}
	reached := func(secret, path int) *reach {
		r, err := s.registry(source(secret, path))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	honest := reached(0, 0)
	for i := range 2 * maxRegistries {
		if reached(1+i, 0); i%(maxRegistries/2) == 0 && reached(0, 0) != honest {
			t.Fatal("another's client is gone")
		}
	}
	if n := len(s.registries); n > maxRegistries {
		t.Errorf("%d clients are kept", n)
	}

	honest.busy[host] = time.Now().Add(time.Hour)
	for i := range maxPlaces {
		reached(0, i)
	}
	if reached(0, maxPlaces-1) != honest || reached(0, 0) != honest {
		t.Error("the client is gone too soon")
	}
	renewed := reached(0, maxPlaces)
	if renewed == honest {
		t.Error("its tokens are kept for ever")
	}
	if renewed.free(host) == nil {
		t.Error("the registry asked to be left alone, and is not")
	}
}
