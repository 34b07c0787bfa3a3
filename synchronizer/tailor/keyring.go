package tailor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"filippo.io/age"
	agearmor "filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/getsops/sops/v3/shamir"

	"sealift.dev/internal/objects"
)

const (
	// maxKeys bounds the private keys of a Secret, and maxRecipients those that one
	// document is encrypted for.
	maxKeys       = 64
	maxRecipients = 64
	// maxSealed bounds a sealed data key, maxSealings those for whom it is sealed at
	// once, and maxDataKey a data key or a share of it.
	maxSealed   = 8 << 10
	maxSealings = 4
	maxDataKey  = 1 << 10
	// maxBits bounds an OpenPGP key: the time that one takes grows with the cube.
	maxBits = 8192
)

// recipients are whom a data key is sealed for. Those of cloud services are listed to
// be named.
type recipients struct {
	Age []struct {
		Recipient string `json:"recipient"`
		Sealed    string `json:"enc"`
	} `json:"age"`
	PGP []struct {
		Fingerprint string `json:"fp"`
		Sealed      string `json:"enc"`
	} `json:"pgp"`
	KMS     []any `json:"kms"`
	GCPKMS  []any `json:"gcp_kms"`
	AzureKV []any `json:"azure_kv"`
	Vault   []any `json:"hc_vault"`
	HCKMS   []any `json:"hckms"`
}

// keyring holds private keys, and the data keys that were opened with them.
type keyring struct {
	age    []age.Identity
	pgp    openpgp.EntityList
	opened map[string][]byte // by their sealed form
}

// newKeyring reads keys by the names of their entries. Other entries are passed over.
func newKeyring(secrets map[string][]byte) (*keyring, error) {
	k := &keyring{opened: map[string][]byte{}}
	for _, entry := range slices.Sorted(maps.Keys(secrets)) {
		switch path.Ext(entry) {
		case ".agekey":
			found, err := age.ParseIdentities(bytes.NewReader(secrets[entry]))
			if err != nil { // which might tell the key
				return nil, fmt.Errorf("the entry %s of the decryption Secret holds no age identities (AGE-SECRET-KEY-...)", entry)
			}
			k.age = append(k.age, found...)
		case ".asc":
			found, err := readPGP(secrets[entry])
			if errors.Is(err, objects.ErrLimit) {
				return nil, fmt.Errorf("the entry %s of the decryption Secret holds %w", entry, err)
			}
			if err != nil {
				return nil, fmt.Errorf("the entry %s of the decryption Secret holds no armored OpenPGP private key", entry)
			}
			if slices.ContainsFunc(found, isLocked) {
				return nil, fmt.Errorf("the entry %s of the decryption Secret holds an OpenPGP key with a passphrase; hint: export it without one", entry)
			}
			k.pgp = append(k.pgp, found...)
		}
	}
	switch n := len(k.age) + len(k.pgp); {
	case n == 0:
		return nil, errors.New("the decryption Secret holds no keys; hint: name its entries NAME.agekey or NAME.asc")
	case n > maxKeys:
		return nil, fmt.Errorf("the decryption Secret holds more than %d keys", maxKeys)
	}
	return k, nil
}

// readPGP looks at the sizes of keys before they are used: reading a key ring checks
// its signatures.
func readPGP(armored []byte) (openpgp.EntityList, error) {
	block, err := armor.Decode(bytes.NewReader(armored))
	if err != nil {
		return nil, err
	}
	all, err := packets(block.Body)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(all, isTooLarge) {
		return nil, fmt.Errorf("a key of more than %d bits: %w", maxBits, objects.ErrLimit)
	}
	return openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
}

func isTooLarge(p packet.Packet) bool {
	var public *packet.PublicKey
	switch key := p.(type) {
	case *packet.PublicKey:
		public = key
	case *packet.PrivateKey:
		public = &key.PublicKey
	default:
		return false
	}
	switch public.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSAEncryptOnly, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoDSA, packet.PubKeyAlgoElGamal:
		bits, err := public.BitLength()
		return err != nil || bits > maxBits
	}
	return false // a curve, whose size is fixed
}

// packets are those up to the first that is encrypted data.
func packets(r io.Reader) ([]packet.Packet, error) {
	reader := packet.NewReader(r)
	var all []packet.Packet
	for {
		p, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if all = append(all, p); isData(p) {
			return all, nil
		}
	}
}

func isData(p packet.Packet) bool {
	switch p.(type) {
	case *packet.SymmetricallyEncrypted, *packet.AEADEncrypted, *packet.Compressed, *packet.LiteralData:
		return true
	}
	return false
}

func isLocked(e *openpgp.Entity) bool {
	locked := func(s openpgp.Subkey) bool { return s.PrivateKey != nil && s.PrivateKey.Encrypted }
	return e.PrivateKey != nil && e.PrivateKey.Encrypted || slices.ContainsFunc(e.Subkeys, locked)
}

// dataKey opens the key that a document's values are encrypted with.
func (k *keyring) dataKey(ctx context.Context, e envelope) ([]byte, error) {
	groups := e.KeyGroups
	if len(groups) == 0 {
		groups = []recipients{e.recipients}
	}
	var parts [][]byte
	recipients := 0
	for _, group := range groups {
		if recipients += max(1, len(group.Age)+len(group.PGP)); recipients > maxRecipients {
			return nil, fmt.Errorf("it is encrypted for more than %d recipients", maxRecipients)
		}
		if part := k.open(ctx, group); part != nil {
			parts = append(parts, part)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(groups) == 1 && len(parts) == 1 {
		return parts[0], nil
	}
	needed := len(groups)
	if e.ShamirThreshold > 0 {
		needed = min(needed, e.ShamirThreshold)
	}
	if len(parts) < needed || len(parts) < 2 {
		return nil, fmt.Errorf("the decryption Secret holds no key for it; it is encrypted for %s", named(groups))
	}
	combined, err := shamir.Combine(parts)
	if err != nil {
		return nil, errors.New("the shares of its data key do not fit together")
	}
	return combined, nil
}

// open is the data key, or the share of it, that a group of recipients has; nil where
// no key is one of theirs.
func (k *keyring) open(ctx context.Context, group recipients) []byte {
	for _, r := range group.Age {
		if opened := k.once(ctx, r.Sealed, k.openAge); opened != nil {
			return opened
		}
	}
	for _, r := range group.PGP {
		if opened := k.once(ctx, r.Sealed, k.openPGP); opened != nil {
			return opened
		}
	}
	return nil
}

// once opens a sealed key that is there in many documents once.
func (k *keyring) once(ctx context.Context, sealed string, open func(string) io.Reader) []byte {
	if opened, known := k.opened[sealed]; known || ctx.Err() != nil {
		return opened
	}
	var opened []byte
	if len(sealed) <= maxSealed {
		if r := open(sealed); r != nil {
			read, err := io.ReadAll(io.LimitReader(r, maxDataKey))
			if err == nil {
				opened = read
			}
		}
	}
	k.opened[sealed] = opened
	return opened
}

func (k *keyring) openAge(sealed string) io.Reader {
	if len(k.age) == 0 {
		return nil
	}
	r, err := age.Decrypt(agearmor.NewReader(strings.NewReader(sealed)), k.age...)
	if err != nil {
		return nil
	}
	return r
}

func (k *keyring) openPGP(sealed string) io.Reader {
	block, err := armor.Decode(strings.NewReader(sealed))
	if err != nil || len(k.pgp) == 0 {
		return nil
	}
	body, err := io.ReadAll(block.Body)
	if err != nil {
		return nil
	}
	if all, err := packets(bytes.NewReader(body)); err != nil || len(all) > 1+maxSealings {
		return nil
	}
	message, err := openpgp.ReadMessage(bytes.NewReader(body), k.pgp, nil, nil)
	if err != nil {
		return nil
	}
	return message.UnverifiedBody
}

// named lists whom a document is encrypted for.
func named(groups []recipients) string {
	const most = 5
	var all []string
	for _, g := range groups {
		for _, r := range g.Age {
			all = append(all, "age "+clipped(r.Recipient, 80))
		}
		for _, r := range g.PGP {
			all = append(all, "OpenPGP "+clipped(r.Fingerprint, 80))
		}
		for _, cloud := range []struct {
			name string
			keys []any
		}{{"AWS KMS", g.KMS}, {"GCP KMS", g.GCPKMS}, {"Azure Key Vault", g.AzureKV}, {"Vault", g.Vault}, {"Huawei KMS", g.HCKMS}} {
			if len(cloud.keys) > 0 {
				all = append(all, cloud.name+", which is not asked")
			}
		}
	}
	if len(all) == 0 {
		return "nobody"
	}
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
}
