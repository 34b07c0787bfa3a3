package policy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	maxKeyBytes = 8192
	minRSABits  = 3072
	maxRSABits  = 8192
)

// PublicKey is a key that the rules allow.
// +kubebuilder:object:generate=false
type PublicKey struct {
	Key crypto.PublicKey
	// ID is the hex-encoded SHA-256 of the key in PKIX form: two encodings of one
	// key have one ID.
	ID string
}

// Public parses the key. It refuses everything but one PEM block with an allowed key.
func (k Key) Public() (PublicKey, error) {
	if len(k.Data) > maxKeyBytes {
		return PublicKey{}, fmt.Errorf("the key has %d bytes, more than the limit of %d", len(k.Data), maxKeyBytes)
	}
	block, rest := pem.Decode([]byte(k.Data))
	switch {
	case block == nil:
		return PublicKey{}, errors.New("the key is not PEM; hint: paste cosign.pub, which begins with -----BEGIN PUBLIC KEY-----")
	case strings.Contains(block.Type, "PRIVATE"):
		return PublicKey{}, errors.New("the key is a private key, which belongs in no policy; hint: paste cosign.pub, and replace the key pair if others could read this one")
	case block.Type != "PUBLIC KEY":
		return PublicKey{}, fmt.Errorf("the key is a %q block; hint: a PKIX key is wanted, -----BEGIN PUBLIC KEY-----", block.Type)
	case len(strings.TrimSpace(string(rest))) > 0:
		return PublicKey{}, errors.New("the key is followed by more data; hint: one authority has one key")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, fmt.Errorf("parsing the key: %w", err)
	}
	return NewPublicKey(parsed)
}

// NewPublicKey checks that key is of an allowed kind and strength.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	if err := allowed(key); err != nil {
		return PublicKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("encoding the key: %w", err)
	}
	sum := sha256.Sum256(der)
	return PublicKey{Key: key, ID: hex.EncodeToString(sum[:])}, nil
}

func allowed(key crypto.PublicKey) error {
	const hint = "; hint: use ECDSA P-256 or P-384, RSA of at least 3072 bits, or Ed25519"
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
		return fmt.Errorf("the key is on the curve %s%s", k.Curve.Params().Name, hint)
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("the RSA key has %d bits, and %d to %d are allowed%s", bits, minRSABits, maxRSABits, hint)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("the key is a %T%s", key, hint)
}
