package keys

import (
	"os"
	"testing"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

func TestPairBelongsTogether(t *testing.T) {
	pair, err := New(t.TempDir(), "release", "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(pair.Private)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cosign.LoadPrivateKey(private, []byte("s3cret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(pair.PublicPEM))
	if err != nil {
		t.Fatal(err)
	}
	mine, err := signer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := cryptoutils.EqualKeys(mine, public); err != nil {
		t.Error(err)
	}
	if _, err := cosign.LoadPrivateKey(private, []byte("guess"), nil); err == nil {
		t.Error("another password opens the private key")
	}
}
