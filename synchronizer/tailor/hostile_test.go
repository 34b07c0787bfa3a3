package tailor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

// TestRuleIsBounded: what a release says about its encryption takes milliseconds,
// whatever it says.
func TestRuleIsBounded(t *testing.T) {
	for name, expression := range map[string]string{
		"long":  strings.Repeat("x", maxRule+1),
		"large": strings.Repeat("(x?){200}", 100) + "y",
	} {
		if _, err := (envelope{EncryptedRegex: expression}).rule(); !errors.Is(err, objects.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := &document{rule: func([]string) bool { return false }, leaves: map[string][]byte{}}
	if _, err := d.walk(t.Context(), nil, "", map[string]any{strings.Repeat("x", maxRuleKey+1): "v"}); !errors.Is(err, objects.ErrLimit) {
		t.Errorf("a long key: %v", err)
	}
}

// keyOf is an armored DSA key of any size, which no one can use.
func keyOf(t *testing.T, bits uint16) []byte {
	t.Helper()
	body := []byte{4, 0, 0, 0, 1, 17}
	for range 4 {
		number := bytes.Repeat([]byte{0xff}, int(bits)/8)
		body = append(binary.BigEndian.AppendUint16(body, bits), number...)
	}
	var armored bytes.Buffer
	w, err := armor.Encode(&armored, openpgp.PrivateKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	packet := append(binary.BigEndian.AppendUint32([]byte{0xc6, 0xff}, uint32(len(body))), body...)
	if _, err := w.Write(packet); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return armored.Bytes()
}

// TestKeysAreBounded: no key takes minutes, and neither do keys for thousands.
func TestKeysAreBounded(t *testing.T) {
	_, err := newKeyring(map[string][]byte{"a.asc": keyOf(t, 65528)})
	if !errors.Is(err, objects.ErrLimit) || !strings.Contains(err.Error(), "a.asc") {
		t.Errorf("a huge key: %v", err)
	}
	keys, err := newKeyring(map[string][]byte{"a.agekey": read(t, "ops.agekey")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.dataKey(t.Context(), envelope{KeyGroups: make([]recipients, maxRecipients+1)}); err == nil || !strings.Contains(err.Error(), "more than 64 recipients") {
		t.Errorf("many groups: %v", err)
	}
}

// TestWorkIsBounded: functions that look at much and leave nothing of it are no way
// around what a substitution may make.
func TestWorkIsBounded(t *testing.T) {
	config := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "a"}, "data": map[string]any{"x": strings.Repeat("${v:0:0}", 2000)}}}
	_, err := new(Tailor).Apply(t.Context(), []*unstructured.Unstructured{config},
		Options{Substitute: true, Variables: map[string]string{"v": strings.Repeat("x", 1<<20)}})
	if !errors.Is(err, errTooMuch) {
		t.Errorf("got %v", err)
	}
}

// TestPatchErrorsKeepSecrets: what kustomize says of an object may be its content.
func TestPatchErrorsKeepSecrets(t *testing.T) {
	_, err := new(Tailor).Apply(t.Context(), published(t, string(read(t, "age.enc.yaml"))), Options{
		Decryption: keysOf(t, "ops.agekey"), TargetNamespace: "other",
		Patches: []Patch{{Patch: `[{"op": "copy", "from": "/stringData/password", "path": "/metadata"}]`, Target: &Target{Kind: "Secret"}}},
	})
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	var objs []*unstructured.Unstructured
	for _, namespace := range []string{"a", "b"} {
		objs = append(objs, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret",
			"metadata": map[string]any{"name": "token", "namespace": namespace}, "stringData": map[string]any{"password": "s3cret\n"}}})
	}
	_, err = new(Tailor).Apply(t.Context(), objs, Options{TargetNamespace: "other"})
	if err == nil || !strings.Contains(err.Error(), "Secret a/token and Secret b/token are one") {
		t.Errorf("got %v", err)
	}
	text := objs[0].Object["stringData"]
	if err := explained(fmt.Errorf("in %s", `{"stringData":{"password":"s3cret\n"}}`), objs); strings.Contains(err.Error(), "s3cret") || !quotes("s3cret\n", text) {
		t.Errorf("got %v", err)
	}
}

// TestErrorsKeepWhatWasDecrypted: also that of other kinds than Secret.
func TestErrorsKeepWhatWasDecrypted(t *testing.T) {
	sealed := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"},
		"data": map[string]any{"password": "ENC[x]", "host": "db"}, "list": []any{"ENC[y]"}}
	opened := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"},
		"data": map[string]any{"password": "s3cret\x01", "host": "db"}, "list": []any{"hidden"}}
	was, is := []*unstructured.Unstructured{{Object: sealed}}, []*unstructured.Unstructured{{Object: opened}}
	for text, shown := range map[string]bool{fmt.Sprintf("%q is not a name", "s3cret\x01"): false, "hidden": false, "db is not there": true} {
		if err := unquoted(errors.New(text), was, is); (err.Error() == text) != shown {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
