package tailor

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

// This is the format of SOPS (https://getsops.io), read with local keys only. SOPS's
// own package reaches for cloud services, a gpg binary, the environment and an audit
// database, and a release shall make the synchronizer do none of that.

// maxEncrypted bounds the encrypted objects of a release: a key of OpenPGP takes
// milliseconds for each.
const maxEncrypted = 1000

// The rule that says what is encrypted is the release's own: maxRule bounds its
// expression, maxRuleSteps what that compiles to, and maxRuleKey the keys that it is
// held against. Together they keep one match to milliseconds.
const (
	maxRule      = 1024
	maxRuleSteps = 1000
	maxRuleKey   = 1024
)

var (
	errMAC       = errors.New("the message authentication code of SOPS does not match: what is encrypted was changed")
	errPlain     = errors.New("a value that has to be encrypted is not")
	errUndeclare = errors.New("an encrypted value is not among those that the message authentication code covers")
)

// decrypt returns objs with what SOPS encrypted in clear. Without keys it refuses
// encrypted objects: their ciphertext is of use to nobody.
func decrypt(ctx context.Context, objs []*unstructured.Unstructured, secrets map[string][]byte) ([]*unstructured.Unstructured, error) {
	chosen := encrypted(objs)
	if len(chosen) == 0 {
		return objs, nil
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%s is encrypted by SOPS, and there is no key; hint: set spec.decryption.secretRef", name(objs[chosen[0]]))
	}
	if len(chosen) > maxEncrypted {
		return nil, fmt.Errorf("more than %d objects are encrypted: %w", maxEncrypted, objects.ErrLimit)
	}
	keys, err := newKeyring(secrets)
	if err != nil {
		return nil, err
	}
	made := slices.Clone(objs)
	var files []*sealedFile
	for _, i := range chosen {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d := &document{u: objs[i].DeepCopy()}
		if err := d.open(ctx, keys); err != nil {
			return nil, fmt.Errorf("%s: %w", name(objs[i]), err)
		}
		made[i] = d.u
		files = d.join(files)
	}
	for _, file := range files {
		if err := file.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", name(file.documents[0].u), err)
		}
	}
	return made, objects.Distinct(made)
}

// encrypted are the places of objects that SOPS encrypted and that do not opt out.
func encrypted(objs []*unstructured.Unstructured) []int {
	var found []int
	for i, u := range objs {
		if objects.IsEncrypted(u.Object) && !disabled(u, "decrypt") {
			found = append(found, i)
		}
	}
	return found
}

// envelope is what SOPS says about a document.
type envelope struct {
	MAC               string `json:"mac"`
	LastModified      string `json:"lastmodified"`
	MACOnlyEncrypted  bool   `json:"mac_only_encrypted"`
	UnencryptedSuffix string `json:"unencrypted_suffix"`
	EncryptedSuffix   string `json:"encrypted_suffix"`
	UnencryptedRegex  string `json:"unencrypted_regex"`
	EncryptedRegex    string `json:"encrypted_regex"`
	UnencryptedNote   string `json:"unencrypted_comment_regex"`
	EncryptedNote     string `json:"encrypted_comment_regex"`
	recipients
	KeyGroups       []recipients          `json:"key_groups"`
	ShamirThreshold int                   `json:"shamir_threshold"`
	Sealift         objects.EncryptedFile `json:"sealift"`
}

// document is an encrypted object on its way into the clear.
type document struct {
	u        *unstructured.Unstructured
	envelope envelope
	key      []byte
	rule     func(path []string) bool
	// leaves are the values by JSON pointer, as bytes of the authentication code; nil
	// where it does not cover them.
	leaves map[string][]byte
	// declared are the pointers that the code covers.
	declared map[string]bool
}

// open decrypts the document's values.
func (d *document) open(ctx context.Context, keys *keyring) error {
	encoded, err := json.Marshal(d.u.Object["sops"])
	if err == nil {
		err = json.Unmarshal(encoded, &d.envelope)
	}
	if err != nil {
		return errors.New("what SOPS wrote about it cannot be read")
	}
	if d.rule, err = d.envelope.rule(); err != nil {
		return err
	}
	if d.key, err = keys.dataKey(ctx, d.envelope); err != nil {
		return err
	}
	delete(d.u.Object, "sops")
	d.leaves, d.declared = map[string][]byte{}, map[string]bool{}
	for _, pointer := range d.envelope.Sealift.Order {
		d.declared[pointer] = true
	}
	made, err := d.walk(ctx, nil, "", d.u.Object)
	if err != nil {
		return err
	}
	d.u.Object = made.(map[string]any)
	return nil
}

// rule says which values are encrypted, by the keys that lead to them.
func (e envelope) rule() (func(path []string) bool, error) {
	if e.EncryptedNote+e.UnencryptedNote != "" {
		return nil, errors.New("comments decide what is encrypted in it, and comments are not published; hint: encrypt with encrypted_regex")
	}
	given := 0
	for _, r := range []string{e.UnencryptedSuffix, e.EncryptedSuffix, e.UnencryptedRegex, e.EncryptedRegex} {
		if r != "" {
			given++
		}
	}
	if given > 1 {
		return nil, errors.New("more than one rule says what is encrypted in it")
	}
	if expression := e.EncryptedRegex + e.UnencryptedRegex; expression != "" {
		compiled, err := compileRule(expression)
		if err != nil {
			return nil, fmt.Errorf("the expression that says what is encrypted in it cannot be used: %w", err)
		}
		return func(path []string) bool {
			return slices.ContainsFunc(path, compiled.MatchString) == (e.EncryptedRegex != "")
		}, nil
	}
	suffix := e.EncryptedSuffix + e.UnencryptedSuffix
	if suffix == "" {
		suffix = "_unencrypted"
	}
	ends := func(key string) bool { return strings.HasSuffix(key, suffix) }
	return func(path []string) bool { return slices.ContainsFunc(path, ends) == (e.EncryptedSuffix != "") }, nil
}

func compileRule(expression string) (*regexp.Regexp, error) {
	if len(expression) > maxRule {
		return nil, objects.ErrLimit
	}
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, errors.New("it is no regular expression")
	}
	if program, err := syntax.Compile(parsed.Simplify()); err != nil || len(program.Inst) > maxRuleSteps {
		return nil, objects.ErrLimit
	}
	return regexp.Compile(expression)
}

// walk decrypts v in place; path are the keys that lead to it, without places in lists.
func (d *document) walk(ctx context.Context, path []string, pointer string, v any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if len(key) > maxRuleKey {
				return nil, fmt.Errorf("it has a key of more than %d bytes: %w", maxRuleKey, objects.ErrLimit)
			}
			made, err := d.walk(ctx, append(slices.Clone(path), key), pointer+"/"+objects.EscapePointer(key), child)
			if err != nil {
				return nil, err
			}
			v[key] = made
		}
		return v, nil
	case []any:
		kept := v[:0]
		for i, child := range v {
			made, err := d.walk(ctx, path, pointer+"/"+strconv.Itoa(i), child)
			if err != nil {
				return nil, err
			}
			if _, isComment := made.(comment); !isComment {
				kept = append(kept, made)
			}
		}
		return kept, nil
	case nil:
		return nil, nil
	}
	return d.leaf(path, pointer, v)
}

func (d *document) leaf(path []string, pointer string, v any) (any, error) {
	sealed := d.rule(path)
	if sealed {
		ciphertext, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%s: %w", dotted(path), errPlain)
		}
		var err error
		if v, err = unseal(ciphertext, d.key, strings.Join(path, ":")+":"); err != nil {
			return nil, fmt.Errorf("%s: %w", dotted(path), err)
		}
	}
	if _, isComment := v.(comment); isComment {
		return v, nil
	}
	if sealed || !d.envelope.MACOnlyEncrypted {
		d.leaves[pointer] = bytesOf(v)
	}
	if sealed && !d.declared[pointer] {
		return nil, fmt.Errorf("%s: %w", dotted(path), errUndeclare)
	}
	return v, nil
}

// comment is an encrypted comment in a list.
type comment string

var ciphertext = regexp.MustCompile(`^ENC\[AES256_GCM,data:([^,]+),iv:([^,]+),tag:([^,]+),type:([a-z]+)\]$`)

// unseal decrypts one value; about says where it is.
func unseal(sealed string, key []byte, about string) (any, error) {
	if sealed == "" {
		return "", nil
	}
	parts := ciphertext.FindStringSubmatch(sealed)
	if parts == nil {
		return nil, errPlain
	}
	var raw [3][]byte
	for i := range raw {
		decoded, err := base64.StdEncoding.DecodeString(parts[i+1])
		if err != nil {
			return nil, errors.New("an encrypted value is no base64")
		}
		raw[i] = decoded
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errors.New("the data key has the wrong size")
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(raw[1]))
	if err != nil {
		return nil, errors.New("an encrypted value has a nonce of no use")
	}
	clear, err := gcm.Open(nil, raw[1], append(raw[0], raw[2]...), []byte(about))
	if err != nil {
		return nil, errors.New("an encrypted value was changed, or moved here from another place")
	}
	return typedAs(parts[4], string(clear))
}

func typedAs(of, clear string) (any, error) {
	var value any
	var err error
	switch of {
	case "str", "bytes", "time":
		value = clear
	case "int":
		value, err = strconv.ParseInt(clear, 10, 64)
	case "float":
		value, err = strconv.ParseFloat(clear, 64)
	case "bool":
		value, err = strconv.ParseBool(clear)
	case "comment":
		value = comment(clear)
	default:
		return nil, errors.New("an encrypted value is of a type that is not known")
	}
	if err != nil {
		return nil, errors.New("an encrypted value is not of its type") // the cause would tell it
	}
	return value, nil
}

// bytesOf is how SOPS writes a value into the authentication code.
func bytesOf(v any) []byte {
	switch v := v.(type) {
	case string:
		return []byte(v)
	case int64:
		return strconv.AppendInt(nil, v, 10)
	case float64:
		return strconv.AppendFloat(nil, v, 'f', -1, 64)
	case bool:
		if v {
			return []byte("True")
		}
		return []byte("False")
	}
	return nil
}

// sealedFile is the documents that SOPS encrypted together, under one code.
type sealedFile struct{ documents []*document }

// join puts d into the file that it is of. A file may be there more than once: a
// kustomization makes several of one.
func (d *document) join(files []*sealedFile) []*sealedFile {
	for _, f := range files {
		if f.documents[0].envelope.MAC == d.envelope.MAC && !slices.ContainsFunc(f.documents, func(other *document) bool {
			return other.envelope.Sealift.Document == d.envelope.Sealift.Document
		}) {
			f.documents = append(f.documents, d)
			return files
		}
	}
	return append(files, &sealedFile{documents: []*document{d}})
}

// onlyEncrypted is what SOPS begins a code with that covers encrypted values only.
const onlyEncrypted = "\x8a\x3f\xd2\xad\x54\xce\x66\x52\x7b\x10\x34\xf3\xd1\x47\xbe\x0b" +
	"\x0b\x97\x5b\x3b\xf4\x4f\x72\xc6\xfd\xad\xec\x81\x76\xf2\x7d\x69"

// check compares the authentication code. Values that are not encrypted and that a
// kustomization added after the encryption are not in the order, and pass.
func (f *sealedFile) check() error {
	slices.SortStableFunc(f.documents, func(a, b *document) int {
		return a.envelope.Sealift.Document - b.envelope.Sealift.Document
	})
	first := f.documents[0]
	modified, err := time.Parse(time.RFC3339, first.envelope.LastModified)
	if err != nil {
		return errors.New("SOPS does not say when it was encrypted")
	}
	wanted, err := unseal(first.envelope.MAC, first.key, modified.Format(time.RFC3339))
	if err != nil {
		return errMAC
	}
	code := sha512.New()
	if first.envelope.MACOnlyEncrypted {
		io.WriteString(code, onlyEncrypted)
	}
	for _, d := range f.documents {
		if d.envelope.MACOnlyEncrypted != first.envelope.MACOnlyEncrypted {
			return errMAC
		}
		d.write(code)
	}
	text, _ := wanted.(string)
	if subtle.ConstantTimeCompare([]byte(text), fmt.Appendf(nil, "%X", code.Sum(nil))) != 1 {
		return fmt.Errorf("%w; hint: encrypt what a kustomization changes with --mac-only-encrypted, and publish again what was published by an older sealift", errMAC)
	}
	return nil
}

func (d *document) write(code hash.Hash) {
	for _, pointer := range d.envelope.Sealift.Order {
		code.Write(d.leaves[pointer])
	}
}
