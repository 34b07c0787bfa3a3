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
// unencrypted PKCS #8 key in PEM, for which it is not. The key must be of a kind
// that trust policies allow.
func Load(data []byte, password func() ([]byte, error)) (*Key, error) {
	if len(data) > maxKeyBytes {
		return nil, fmt.Errorf("reading the signing key: it has more than the limit of %d bytes", maxKeyBytes)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("reading the signing key: it is not PEM; hint: make a key pair with cosign generate-key-pair")
	}
	der, err := decrypt(block, password)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	key, err := parse(der)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	return key, nil
}

// decrypt is the PKCS #8 form of the key in block.
func decrypt(block *pem.Block, password func() ([]byte, error)) ([]byte, error) {
	switch block.Type {
	case cosign.PrivateKeyPemType:
		return block.Bytes, nil
	case cosign.CosignPrivateKeyPemType, cosign.SigstorePrivateKeyPemType:
		secret, err := password()
		if err != nil {
			return nil, fmt.Errorf("asking for its password: %w", err)
		}
		der, err := encrypted.Decrypt(block.Bytes, secret)
		if err != nil {
			return nil, fmt.Errorf("%w; hint: set COSIGN_PASSWORD to its password", err)
		}
		return der, nil
	}
	if strings.Contains(block.Type, "PUBLIC") {
		return nil, errors.New("it is a public key; hint: sign with cosign.key, and give cosign.pub to those who verify")
	}
	return nil, fmt.Errorf("it is a %q block; hint: cosign.key or an unencrypted PKCS #8 key is wanted", block.Type)
}

func parse(pkcs8 []byte) (*Key, error) {
	private, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("parsing the PKCS #8 key: %w", err)
	}
	holder, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", private)
	}
	public, err := policy.NewPublicKey(holder.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(holder.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	// SHA-256 for P-384 too, and Ed25519 without pre-hashing: cosign verify accepts
	// nothing else unless it is told to.
	signer, err := sigstore.LoadSigner(private, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("loading the key: %w", err)
	}
	return &Key{signer: signer, public: public, der: der}, nil
}

// Public is the public key in PEM, as cosign.pub holds it.
func (k *Key) Public() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der})
}

func (k *Key) sign(data []byte) ([]byte, error) { return k.signer.SignMessage(bytes.NewReader(data)) }

// keypair is a Key as sigstore-go signs bundles with it.
type keypair struct{ key *Key }

func (p keypair) SignData(_ context.Context, data []byte) ([]byte, []byte, error) {
	signature, err := p.key.sign(data)
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
