package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	pb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	sigstore "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"sealift.dev/verify/policy"
)

// maxKeyBytes is the size of the largest private key file that is read.
const maxKeyBytes = 64 << 10

// Key is a private key that may sign releases.
type Key struct {
	signer sigstore.Signer
	public policy.PublicKey
	der    []byte // PKIX form of public
}

// Load reads a private key: cosign.key, for which password is asked, or an
// unencrypted one in PEM, for which it is not: PKCS #8, SEC 1 (EC PRIVATE KEY) or
// PKCS #1 (RSA PRIVATE KEY). The key must be of a kind that trust policies allow.
func Load(data []byte, password func() ([]byte, error)) (*Key, error) {
	if len(data) > maxKeyBytes {
		return nil, fmt.Errorf("reading the signing key: it has more than the limit of %d bytes", maxKeyBytes)
	}
	private, err := parse(data, password)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	key, err := newKey(private)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	return key, nil
}

func parse(data []byte, password func() ([]byte, error)) (crypto.PrivateKey, error) {
	block, rest := pem.Decode(data)
	// openssl writes the curve's name before the key.
	for block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil:
		return nil, errors.New("it is not PEM; hint: make a key pair with sealift keys generate")
	case block.Headers["DEK-Info"] != "" || block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is encrypted in a form that is not read; hint: cosign import-key-pair makes a cosign.key of it, or decrypt it with openssl pkey")
	}
	switch block.Type {
	case cosign.PrivateKeyPemType:
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case cosign.ECPrivateKeyPemType:
		return x509.ParseECPrivateKey(block.Bytes)
	case cosign.RSAPrivateKeyPemType:
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case cosign.CosignPrivateKeyPemType, cosign.SigstorePrivateKeyPemType:
		der, err := decrypt(block.Bytes, password)
		if err != nil {
			return nil, err
		}
		return x509.ParsePKCS8PrivateKey(der)
	}
	if strings.Contains(block.Type, "PUBLIC") {
		return nil, errors.New("it is a public key; hint: sign with cosign.key, and give cosign.pub to those who verify")
	}
	return nil, fmt.Errorf("it is a %q block; hint: cosign.key or an unencrypted private key is wanted", block.Type)
}

func decrypt(sealed []byte, password func() ([]byte, error)) ([]byte, error) {
	secret, err := password()
	if err != nil {
		return nil, fmt.Errorf("asking for its password: %w", err)
	}
	der, err := encrypted.Decrypt(sealed, secret)
	if err != nil {
		return nil, fmt.Errorf("%w; hint: set COSIGN_PASSWORD to its password", err)
	}
	return der, nil
}

func newKey(private crypto.PrivateKey) (*Key, error) {
	holder, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", private)
	}
	if _, err := policy.NewPublicKey(holder.Public()); err != nil {
		return nil, err
	}
	// SHA-256 for P-384 too, and Ed25519 without pre-hashing: cosign verify accepts
	// nothing else unless it is told to.
	signer, err := sigstore.LoadSigner(private, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("loading the key: %w", err)
	}
	return NewKey(holder.Public(), signer)
}

// NewKey is a key that somebody else holds, such as a key management service.
func NewKey(public crypto.PublicKey, signer sigstore.Signer) (*Key, error) {
	checked, err := policy.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	return &Key{signer: signer, public: checked, der: der}, nil
}

// Public is the public key in PEM, as cosign.pub holds it.
func (k *Key) Public() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der})
}

// ID is what reports call the key: the hex-encoded SHA-256 of its PKIX form.
func (k *Key) ID() string { return k.public.ID }

func (k *Key) sign(ctx context.Context, data []byte) ([]byte, error) {
	return k.signer.SignMessage(bytes.NewReader(data), options.WithContext(ctx))
}

// keypair is a Key as sigstore-go signs bundles with it.
type keypair struct{ key *Key }

func (p keypair) SignData(ctx context.Context, data []byte) ([]byte, []byte, error) {
	signature, err := p.key.sign(ctx, data)
	sum := sha256.Sum256(data)
	return signature, sum[:], err
}

// GetHint is how cosign names a key: its SHA-256 in base64.
func (p keypair) GetHint() []byte {
	sum := sha256.Sum256(p.key.der)
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

func (p keypair) GetPublicKey() crypto.PublicKey     { return p.key.public.Key }
func (p keypair) GetPublicKeyPem() (string, error)   { return string(p.key.Public()), nil }
func (p keypair) GetHashAlgorithm() pb.HashAlgorithm { return pb.HashAlgorithm_SHA2_256 }
func (p keypair) GetSigningAlgorithm() pb.PublicKeyDetails {
	return pb.PublicKeyDetails_PUBLIC_KEY_DETAILS_UNSPECIFIED
}

func (p keypair) GetKeyAlgorithm() string {
	switch p.key.public.Key.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	case ed25519.PublicKey:
		return "ED25519"
	}
	return ""
}
