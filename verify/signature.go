package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstoreverify "github.com/sigstore/sigstore-go/pkg/verify"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"sealift.dev/verify/policy"
)

// signature is a well-formed signature over the digest that is verified, or a
// well-formed attestation about it. Nothing of it is believed before it is checked.
type signature struct {
	format policy.Format
	digest digest.Digest
	// predicateType says what a bundle attests; PredicateType: that it signs.
	predicateType string
	predicate     json.RawMessage
	// keyed checks it with a key, in one of the key's ways.
	keyed func(way sigstore.Verifier) error
	// logged is what a certificate, a log and timestamps are looked for in. It is nil
	// where unlogged says what is wrong with them.
	logged   *logged
	unlogged error

	proofs map[string]outcome // by key or root
}

// logged is a signature in the form that sigstore-go verifies.
type logged struct {
	*bundle.Bundle
	artifact func() sigstoreverify.ArtifactPolicyOption
}

// certified says that the signature was made with a certificate's key.
func (l *logged) certified() bool {
	return l != nil && l.GetVerificationMaterial().GetCertificate() != nil
}

// proof is what the cryptography of a signature shows.
type proof struct {
	keyID       string      // empty: it was made with a certificate
	certificate Certificate // zero: it was made with a key
	witness
}

// witness says when a signature was there at the latest, and who vouches for it.
type witness struct {
	time time.Time // zero: nobody vouches for any
	from string
	log  Log
}

type outcome struct {
	proof proof
	err   error
}

// once remembers the outcome of check, and meets a library's panic.
func (s *signature) once(name string, check func() (proof, error)) (proof, error) {
	known, ok := s.proofs[name]
	if !ok {
		known.err = guard(func() (err error) {
			known.proof, err = check()
			return err
		})
		if s.proofs == nil {
			s.proofs = map[string]outcome{}
		}
		s.proofs[name] = known
	}
	return known.proof, known.err
}

// byKey checks that the signature was made with k. When, own may tell: the verifier's
// trusted root, if it has one.
func (s *signature) byKey(k *keyed, own *trustedRoot) (proof, error) {
	return s.once("key "+k.id, func() (proof, error) {
		problem := errors.New("there is no way to verify with this key")
		for _, way := range k.ways {
			if problem = s.keyed(way); problem == nil {
				return proof{keyID: k.id, witness: s.witnessed(way, own)}, nil
			}
		}
		return proof{}, problem
	})
}

// witnessed is when the signature with a key was there, by a timestamp or a log.
func (s *signature) witnessed(way sigstore.Verifier, own *trustedRoot) witness {
	var w witness
	if own == nil || s.logged == nil {
		return w
	}
	_ = guard(func() error { // what cannot be verified vouches for nothing
		stamps, _, err := sigstoreverify.VerifySignedTimestamp(s.logged, own.material)
		if err != nil {
			return err
		}
		for _, stamp := range stamps {
			w.earlier(stamp.Time, fromTimestamp)
		}
		material := root.TrustedMaterialCollection{own.material, keyMaterial(way)}
		entries, err := sigstoreverify.VerifyTlogEntry(s.logged, material, 1, true)
		if err != nil {
			return err
		}
		w.log = s.logged.entry(own)
		for _, entry := range entries {
			w.earlier(entry.Time, fromLog)
		}
		return nil
	})
	return w
}

// Who vouches for a time.
const (
	fromTimestamp = "timestamp"
	fromLog       = "log"
)

func (w *witness) earlier(t time.Time, from string) {
	if w.time.IsZero() || t.Before(w.time) {
		w.time, w.from = t.UTC(), from
	}
}

// keyMaterial is one key as trusted material.
func keyMaterial(way sigstore.Verifier) root.TrustedMaterial {
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(way, time.Time{}, time.Time{}), nil
	})
}

// Log is an entry of a transparency log.
type Log struct {
	URL   string `json:"url"`
	Index int64  `json:"index"`
}

// entry is the first entry in a log that r knows.
func (l *logged) entry(r *trustedRoot) Log {
	for _, entry := range l.GetVerificationMaterial().GetTlogEntries() {
		if known, ok := r.material.RekorLogs()[fmt.Sprintf("%x", entry.GetLogId().GetKeyId())]; ok {
			return Log{URL: known.BaseURL, Index: entry.GetLogIndex()}
		}
	}
	return Log{}
}

// byRoot checks that the signature was made with a certificate that r vouches for,
// while it was valid, and that certificate and signature are in logs.
func (s *signature) byRoot(r *trustedRoot) (proof, error) {
	return s.once("root "+r.id, func() (proof, error) {
		result, err := r.verifier.Verify(s.logged, sigstoreverify.NewPolicy(s.logged.artifact(), sigstoreverify.WithoutIdentitiesUnsafe()))
		if err != nil {
			return proof{}, err
		}
		if result.Statement.GetPredicateType() != s.predicateType {
			return proof{}, errForeign
		}
		made, err := s.logged.certificate(result)
		if err != nil {
			return proof{}, err
		}
		w := witness{log: s.logged.entry(r)}
		for _, stamp := range result.VerifiedTimestamps {
			from := fromTimestamp
			if stamp.Type == "Tlog" {
				from = fromLog
			}
			w.earlier(stamp.Timestamp, from)
		}
		return proof{certificate: made, witness: w}, nil
	})
}

// certificate is what the certificate says, which sigstore-go has verified. One that
// names several subjects is refused: there is no telling whose it is.
func (l *logged) certificate(result *sigstoreverify.VerificationResult) (Certificate, error) {
	if result.Signature == nil || result.Signature.Certificate == nil {
		return Certificate{}, errors.New("was made without a certificate")
	}
	content, err := l.VerificationContent()
	if err != nil {
		return Certificate{}, err
	}
	leaf := content.Certificate()
	if n := len(leaf.URIs) + len(leaf.EmailAddresses) + len(leaf.DNSNames) + len(leaf.IPAddresses); n > 1 {
		return Certificate{}, fmt.Errorf("has a certificate of %d subjects", n)
	}
	c := result.Signature.Certificate
	return Certificate{
		Issuer: c.Issuer, Subject: c.SubjectAlternativeName,
		SourceRepository: c.SourceRepositoryURI, SourceRef: c.SourceRepositoryRef, SourceDigest: c.SourceRepositoryDigest,
		BuildTrigger: c.BuildTrigger, RunnerEnvironment: c.RunnerEnvironment,
	}, nil
}

// guard turns a panic, with which a library may meet hostile input, into an error.
func guard(call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("is malformed: a library gave up on it")
		}
	}()
	return call()
}

// candidate may become a signature when it is read.
type candidate struct {
	format policy.Format
	digest digest.Digest
	// attestation says that it is marked as one.
	attestation bool
	read        func(ctx context.Context, b *budget) (*signature, error)
}

func (c candidate) kind() string {
	if c.attestation {
		return "attestations"
	}
	return "signatures in the format " + string(c.format)
}

var errForeign = errors.New("is no signature")
