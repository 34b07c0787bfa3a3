package remote

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Signer signs commits.
type Signer interface {
	// Sign returns an armored signature of payload.
	Sign(payload []byte) (string, error)
}

// NewSigner reads a private key that signs commits: an SSH key, or an armored OpenPGP key.
// Passphrase opens it; empty: it is not locked.
func NewSigner(key, passphrase []byte) (Signer, error) {
	if bytes.Contains(key, []byte("-----BEGIN PGP PRIVATE KEY BLOCK-----")) {
		return newPGPSigner(key, passphrase)
	}
	signer, err := parseSSHKey(key, passphrase)
	if err != nil {
		return nil, fmt.Errorf("the key for signing commits: %w", err)
	}
	return sshSigner{signer}, nil
}

// sshSigner signs as ssh-keygen -Y sign does it for Git.
type sshSigner struct{ key ssh.Signer }

func (s sshSigner) Sign(payload []byte) (string, error) {
	signature, err := sshsig.Sign(bytes.NewReader(payload), s.key, sshsig.HashSHA512, "git")
	if err != nil {
		return "", err
	}
	return string(sshsig.Armor(signature)), nil
}

type pgpSigner struct{ key *openpgp.Entity }

func newPGPSigner(key, passphrase []byte) (Signer, error) {
	entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(key))
	if err != nil || len(entities) != 1 {
		return nil, fmt.Errorf("the key for signing commits holds %d OpenPGP keys instead of one: %w", len(entities), err)
	}
	entity := entities[0]
	signing, ok := entity.SigningKey(time.Now())
	switch {
	case !ok || signing.PrivateKey == nil:
		return nil, errors.New("the OpenPGP key for signing commits cannot sign, or is out of date")
	case signing.PrivateKey.Encrypted && len(passphrase) == 0:
		return nil, errors.New("the OpenPGP key for signing commits is locked; hint: pass its passphrase")
	case signing.PrivateKey.Encrypted:
		if err := entity.DecryptPrivateKeys(passphrase); err != nil {
			return nil, errors.New("the passphrase does not open the OpenPGP key for signing commits")
		}
	}
	return pgpSigner{entity}, nil
}

func (s pgpSigner) Sign(payload []byte) (string, error) {
	var out bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&out, s.key, bytes.NewReader(payload), &packet.Config{}); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}
