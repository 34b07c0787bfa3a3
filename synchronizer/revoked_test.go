package synchronizer

import (
	"errors"
	"net"
	"testing"

	godigest "github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// TestKeptFrom: what runs and is no longer trusted matters most, but only where
// nothing that is trusted is kept, and only where that is known.
func TestKeptFrom(t *testing.T) {
	place := artifact.Repository{Host: "registry.example.com", Path: "deploy/shop"}
	one, two := place.At(godigest.FromString("one")), place.At(godigest.FromString("two"))
	refuse := func(ref artifact.Ref, reason verify.Reason) error {
		return at(Verify, &verify.Refusal{Reason: reason, Ref: ref})
	}
	failed := at(Preflight, errors.New("invalid"))
	ran, tried := State{Applied: one}, State{Attempted: one.Digest}
	tests := []struct {
		name      string
		state     State
		running   bool // something is kept
		err, lost error
		revoked   bool
	}{
		{"nothing is wrong", ran, true, nil, nil, false},
		{"what is wanted runs", ran, false, refuse(one, verify.Untrusted), refuse(one, verify.Untrusted), true},
		{"it was never applied in full", tried, false, refuse(one, verify.Revoked), nil, true},
		{"a newer one is refused, too", ran, false, refuse(two, verify.NotSigned), refuse(one, verify.NoPolicy), true},
		{"a newer one fails otherwise", ran, false, failed, refuse(one, verify.AttestationMissing), true},
		{"only a newer one is refused", ran, true, refuse(two, verify.Untrusted), nil, false},
		{"back from a half-written one", State{Applied: two, Attempted: one.Digest}, true, refuse(one, verify.Untrusted), nil, false},
		{"the registry is down", ran, false, refuse(one, verify.Unavailable), refuse(one, verify.Unavailable), false},
		{"the manifest is gone", ran, false, refuse(one, verify.NotFound), refuse(one, verify.NotFound), false},
		{"nothing ran yet", State{}, false, refuse(one, verify.Untrusted), nil, false},
	}
	for _, tt := range tests {
		out := Outcome{}
		if tt.running {
			out.Running = &Release{}
		}
		got := keptFrom(tt.state, out, tt.err, tt.lost)
		if errors.Is(got, ErrTrustRevoked) != tt.revoked {
			t.Errorf("%s: %v, want revoked: %v", tt.name, got, tt.revoked)
		}
		if (got == nil) != (tt.err == nil) {
			t.Errorf("%s: %v of %v", tt.name, got, tt.err)
		}
		var step *Error
		if tt.err != nil && !errors.As(got, &step) {
			t.Errorf("%s: the step is lost: %v", tt.name, got)
		}
	}
}

// TestPublishedAt: releases count under the repository that they say to be of, and
// what says nothing cannot escape the count by being read from a mirror.
func TestPublishedAt(t *testing.T) {
	const origin, mirror = "registry.example.com/deploy/shop", "mirror.example.com/deploy/shop"
	ref := artifact.Repository{Host: "mirror.example.com", Path: "deploy/shop"}.At(godigest.FromString("a"))
	with := Delivery{Policies: []verify.NamedPolicy{{Policy: policy.Policy{Mirrors: []policy.Mirror{{Of: "registry.example.com", At: "mirror.example.com"}}}}}}
	accepted := map[string]Watermark{origin: {Repository: origin, Epoch: 1, Sequence: 7}}
	for _, tt := range []struct {
		name     string
		d        Delivery
		stated   string
		accepted map[string]Watermark
		want     string
	}{
		{"it says where", with, origin, nil, origin},
		{"it says here", with, mirror, accepted, mirror},
		{"it says nothing", Delivery{}, "", accepted, mirror},
		{"it says nothing at a mirror", with, "", accepted, origin},
		{"it says nothing at a new mirror", with, "", nil, mirror},
	} {
		if got := publishedAt(tt.d, ref, artifact.Statement{Repository: tt.stated}, tt.accepted); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestUnlessNew(t *testing.T) {
	ref := artifact.Repository{Host: "registry.example.com", Path: "deploy/shop"}.At(godigest.FromString("one"))
	refuse := func(reason verify.Reason, policy, rule string) error {
		return at(Verify, &verify.Refusal{Reason: reason, Ref: ref, Policy: policy, Rule: rule})
	}
	before := refuse(verify.Untrusted, "shop", "require.atLeast")
	for name, next := range map[string]error{
		"no error": nil, "another error": errors.New("x"), "another reason": refuse(verify.Revoked, "shop", "require.atLeast"),
		"another policy": refuse(verify.Untrusted, "blog", "require.atLeast"), "another rule": refuse(verify.Untrusted, "shop", "source.refs"),
	} {
		if got := unlessNew(before, next); got != next {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := unlessNew(before, refuse(verify.Untrusted, "shop", "require.atLeast")); got != before {
		t.Error("the same refusal is news")
	}
	if got := unlessNew(nil, before); got != before {
		t.Errorf("the first refusal: %v", got)
	}
}

// TestBrokenConnectionIsNewsOnce: a registry that breaks connections is no news each
// time, although each connection has a port of its own.
func TestBrokenConnectionIsNewsOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Read(make([]byte, 1))
			connection.(*net.TCPConn).SetLinger(0) // so that it is reset
			connection.Close()
		}
	}()
	host, path := listener.Addr().String(), "deploy/shop"
	registry := artifact.NewRegistry(artifact.Options{PlainHTTP: true, Patience: -1})
	ask := func(tag string) error {
		_, err := registry.Resolve(t.Context(), artifact.Repository{Host: host, Path: path}, tag)
		return at(Resolve, err)
	}
	before, next := ask("main"), ask("main")
	if before == nil || next == nil || before.Error() == next.Error() {
		t.Fatalf("the two errors do not differ: %v and %v", before, next)
	}
	if got := unlessNew(before, next); got != before {
		t.Errorf("news of the same: %v after %v", got, before)
	}
	if other := ask("other"); unlessNew(before, other) != other {
		t.Errorf("no news of another tag: %v", other)
	}
}
