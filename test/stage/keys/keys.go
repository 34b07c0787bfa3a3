// Package keys makes cosign key pairs for tests and the demo. It stands apart from stage because
// cosign takes long to compile.
package keys

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sigstore/cosign/v2/pkg/cosign"
)

// Pair is a cosign key pair in files, as "cosign generate-key-pair" writes it.
type Pair struct {
	Private string // path of <name>.key, encrypted with the password
	Public  string // path of <name>.pub
	// PublicPEM is the content of Public, for policies.
	PublicPEM string
}

// New makes an ECDSA P-256 pair in dir. The password may be empty.
func New(dir, name, password string) (Pair, error) {
	pair := Pair{Private: filepath.Join(dir, name+".key"), Public: filepath.Join(dir, name+".pub")}
	made, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte(password), nil })
	if err != nil {
		return Pair{}, fmt.Errorf("making key pair %s: %w", name, err)
	}
	if err := os.WriteFile(pair.Private, made.PrivateBytes, 0o600); err != nil {
		return Pair{}, err
	}
	if err := os.WriteFile(pair.Public, made.PublicBytes, 0o644); err != nil {
		return Pair{}, err
	}
	pair.PublicPEM = string(made.PublicBytes)
	return pair, nil
}
