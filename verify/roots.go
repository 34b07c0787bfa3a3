package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigstoreverify "github.com/sigstore/sigstore-go/pkg/verify"
	"k8s.io/utils/lru"

	"sealift.dev/internal/strict"
)

const (
	maxRootBytes = 1 << 20
	rootsKept    = 64
)

// errNoRoot is met by a keyless signature that nothing can be held against.
var errNoRoot = errors.New("no trusted root is known for it")

const hintRoot = "name a trusted_root.json with --trusted-root, or in the policy's keyless.trustedRoot"

// trustedRoot is the certificate authorities, logs and timestamp authorities of one
// Sigstore instance, with what verifies against them.
type trustedRoot struct {
	id       string // the hex-encoded SHA-256 of what it was read from
	material *root.TrustedRoot
	verifier *sigstoreverify.Verifier
}

// readRoot reads a trusted_root.json.
func readRoot(data []byte) (*trustedRoot, error) {
	if len(data) > maxRootBytes {
		return nil, fmt.Errorf("it has %d bytes, more than the limit of %d", len(data), maxRootBytes)
	}
	var any struct{}
	if err := strict.Unmarshal(data, &any); err != nil {
		return nil, fmt.Errorf("it is no trusted_root.json: %s", clean(err.Error()))
	}
	r := &trustedRoot{id: rootID(data)}
	err := guard(func() (err error) {
		r.material, err = root.NewTrustedRootFromJSON(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("it is no trusted_root.json: %s", clean(err.Error()))
	}
	// A certificate is short-lived, so its time has to be vouched for; that it was
	// issued, and that it was used, has to be in logs that its owner can watch.
	r.verifier, err = sigstoreverify.NewVerifier(r.material,
		sigstoreverify.WithSignedCertificateTimestamps(1),
		sigstoreverify.WithTransparencyLog(1),
		sigstoreverify.WithObserverTimestamps(1),
		sigstoreverify.WithoutStatementPredicate())
	return r, err
}

func rootID(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// roots are the trusted roots that a verifier knows.
type roots struct {
	own    *trustedRoot // nil: none was given
	public *publicRoot  // nil: there is none to fetch
	named  *lru.Cache   // those that policies hold, by ID
	// waiting is told who waits for the public root.
	waiting func(context.Context) (over func())
}

func newRoots(o Options) (*roots, error) {
	r := &roots{named: lru.New(rootsKept), waiting: o.Waiting}
	if len(o.TrustedRoot) > 0 {
		own, err := readRoot(o.TrustedRoot)
		if err != nil {
			return nil, err
		}
		r.own = own
		return r, nil
	}
	if o.Public != nil {
		r.public = newPublicRoot(*o.Public, o.Now)
	}
	return r, nil
}

// read reads a root that a policy holds, once.
func (r *roots) read(data []byte) (*trustedRoot, error) {
	id := rootID(data)
	if known, ok := r.named.Get(id); ok {
		return known.(*trustedRoot), nil
	}
	read, err := readRoot(data)
	if err != nil {
		return nil, err
	}
	r.named.Add(id, read)
	return read, nil
}

// current is the public root if it is at hand, else nil.
func (r *roots) current() *trustedRoot {
	if r.public == nil {
		return nil
	}
	return r.public.current()
}

// fetch is the public root, from the network if it is not at hand.
func (r *roots) fetch(ctx context.Context) (*trustedRoot, error) {
	if r.public == nil {
		return nil, errNoRoot
	}
	if r.waiting != nil {
		defer r.waiting(ctx)()
	}
	return r.public.fetch(ctx)
}

// id is that of the root which is at hand; empty: none is, or it has to be fetched.
func (r *roots) id() string {
	switch {
	case r.own != nil:
		return r.own.id
	case r.current() != nil:
		return r.current().id
	}
	return ""
}
