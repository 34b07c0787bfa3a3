package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"fmt"

	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"sealift.dev/verify/policy"
)

// verifiers are the ways in which cosign's versions sign with a key: P-384 with
// SHA-384 or SHA-256, Ed25519 pure or pre-hashed.
func verifiers(key policy.PublicKey) ([]sigstore.Verifier, error) {
	switch k := key.Key.(type) {
	case ed25519.PublicKey:
		pure, err := sigstore.LoadED25519Verifier(k)
		if err != nil {
			return nil, fmt.Errorf("loading the key: %w", err)
		}
		hashed, err := sigstore.LoadED25519phVerifier(k)
		if err != nil {
			return nil, fmt.Errorf("loading the key: %w", err)
		}
		return []sigstore.Verifier{pure, hashed}, nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			return load(key, crypto.SHA384, crypto.SHA256)
		}
	}
	return load(key, crypto.SHA256)
}

func load(key policy.PublicKey, hashes ...crypto.Hash) ([]sigstore.Verifier, error) {
	var all []sigstore.Verifier
	for _, hash := range hashes {
		verifier, err := sigstore.LoadVerifier(key.Key, hash)
		if err != nil {
			return nil, fmt.Errorf("loading the key: %w", err)
		}
		all = append(all, verifier)
	}
	return all, nil
}
