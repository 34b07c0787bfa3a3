package signer

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"fmt"
	"time"

	pb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// pen makes signatures, with what the services say to them.
type pen struct {
	pair        sign.Keypair
	certificate []byte // in DER; nil: the key is known by itself
	instance    *Instance
}

// bundle signs content. Services are asked at most twice: a log that has heard a first
// attempt wants another signature.
func (p pen) bundle(ctx context.Context, content sign.Content) (*pb.Bundle, error) {
	made, err := p.once(ctx, content)
	if errors.Is(err, errLogged) {
		made, err = p.once(ctx, content)
	}
	if errors.Is(err, errLogged) {
		return nil, fmt.Errorf("%w; hint: an RSA key gives one signature for one release: wait until the log forgets it, or sign with another key", err)
	}
	return made, err
}

func (p pen) once(ctx context.Context, content sign.Content) (made *pb.Bundle, err error) {
	s, err := p.instance.choose(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	options := sign.BundleOptions{Context: ctx, TimestampAuthorities: s.timestamps, TransparencyLogs: s.logs}
	if p.certificate != nil {
		options.CertificateProvider = issued(p.certificate)
	}
	err = guard(func() (err error) {
		made, err = sign.Bundle(content, p.pair, options)
		return plain(err)
	})
	return made, err
}

// issued is a certificate that is there already.
type issued []byte

// GetCertificate implements sign.CertificateProvider.
func (i issued) GetCertificate(context.Context, sign.Keypair, *sign.CertificateProviderOptions) ([]byte, error) {
	return i, nil
}

// guard turns a panic, with which a library may meet a service's answer, into an error.
func guard(call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("a service's answer is malformed: a library gave up on it")
		}
	}()
	return call()
}

// keyed is a key as an author.
type keyed struct {
	key      *Key
	instance *Instance // nil: no services
}

func (k keyed) formats(context.Context) ([]policy.Format, error) {
	return []policy.Format{policy.Bundle, policy.Legacy}, nil
}

func (k keyed) known(context.Context) (policy.Authority, error) {
	return policy.Authority{Name: "key", Key: &policy.Key{Data: string(k.key.Public())}}, nil
}

func (k keyed) suits(context.Context, func() (artifact.Statement, error)) error { return nil }

func (k keyed) pick(ctx context.Context) (pen, bool, error) {
	s, err := k.instance.choose(ctx, time.Now())
	if err == nil && s.logVersion > 1 {
		err = k.key.loggable()
	}
	return pen{pair: keypair{k.key}, instance: k.instance}, false, err
}

// loggable says why Rekor v2 would refuse signatures of a key: it takes pre-hashed ones
// only, with the hash of the curve's size, and cosign verify does not.
func (k *Key) loggable() error {
	const hint = "; hint: sign with ECDSA P-256 or RSA, or with a signing config that names no log"
	switch public := k.public.Key.(type) {
	case ed25519.PublicKey:
		return errors.New("Rekor v2 takes no plain Ed25519 signatures" + hint)
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return errors.New("Rekor v2 takes ECDSA P-384 signatures with SHA-384 only, and this key signs with SHA-256" + hint)
		}
	}
	return nil
}
