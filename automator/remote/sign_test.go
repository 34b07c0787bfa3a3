package remote

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"golang.org/x/crypto/ssh"

	"sealift.dev/test/stage"
)

// signed makes a signed commit on main.
func signed(t *testing.T, s *server, key, passphrase []byte) Pending {
	t.Helper()
	signer, err := NewSigner(key, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return mustBump(t, s.open(func(o *Options) { o.Signer = signer }), "a: "+rand.Text()+"\n", "a.yaml")
}

func TestSignedWithSSH(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"ed25519": ed, "rsa": old} {
		t.Run(name, func(t *testing.T) {
			block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("open sesame"))
			if err != nil {
				t.Fatal(err)
			}
			p := signed(t, s, pem.EncodeToMemory(block), []byte("open sesame"))
			public, err := ssh.NewSignerFromKey(key)
			if err != nil {
				t.Fatal(err)
			}
			allowed := filepath.Join(t.TempDir(), "allowed")
			if err := os.WriteFile(allowed, append([]byte("automator@sealift.dev "), ssh.MarshalAuthorizedKey(public.PublicKey())...), 0o600); err != nil {
				t.Fatal(err)
			}
			s.run(s.bare, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", p.ID())
			if err := os.WriteFile(allowed, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := stage.Git(s.bare, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", p.ID()); err == nil {
				t.Errorf("a stranger's signature is taken: %s", out)
			}
		})
	}
	s.run(s.bare, "fsck", "--strict")
}

func TestSignedWithOpenPGP(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	entity, err := openpgp.NewEntity("Sealift", "", "automator@sealift.dev", nil)
	if err != nil {
		t.Fatal(err)
	}
	public := armored(t, openpgp.PublicKeyType, func(out *bytes.Buffer) error { return entity.Serialize(out) })
	open := armored(t, openpgp.PrivateKeyType, func(out *bytes.Buffer) error { return entity.SerializePrivate(out, nil) })
	if err := entity.EncryptPrivateKeys([]byte("open sesame"), nil); err != nil {
		t.Fatal(err)
	}
	locked := armored(t, openpgp.PrivateKeyType, func(out *bytes.Buffer) error { return entity.SerializePrivateWithoutSigning(out, nil) })
	for name, key := range map[string][]byte{"open": open, "locked": locked} {
		t.Run(name, func(t *testing.T) {
			p := signed(t, s, key, []byte("open sesame"))
			payload, signature := splitSignature(t, s.run(s.bare, "cat-file", "commit", p.ID())+"\n")
			ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(public))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := openpgp.CheckArmoredDetachedSignature(ring, strings.NewReader(payload), strings.NewReader(signature), nil); err != nil {
				t.Error(err)
			}
			if _, err := exec.LookPath("gpg"); err == nil {
				verifyWithGPG(t, s, public, p.ID())
			}
		})
	}
	_, err = NewSigner(locked, nil)
	wantError(t, err, "is locked; hint: pass its passphrase")
	_, err = NewSigner(locked, []byte("x"))
	wantError(t, err, "passphrase does not open")
	_, err = NewSigner([]byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n"), nil)
	wantError(t, err, "OpenPGP")
	_, err = NewSigner([]byte("nothing"), nil)
	wantError(t, err, "the key for signing commits")
}

// splitSignature takes the signature out of a commit, as whoever checks it does.
func splitSignature(t *testing.T, commit string) (payload, signature string) {
	t.Helper()
	before, rest, ok := strings.Cut(commit, "gpgsig ")
	if !ok {
		t.Fatalf("no signature in %q", commit)
	}
	lines := strings.SplitAfter(rest, "\n")
	signature = lines[0]
	for lines = lines[1:]; strings.HasPrefix(lines[0], " "); lines = lines[1:] {
		signature += lines[0][1:]
	}
	return before + strings.Join(lines, ""), signature
}

func armored(t *testing.T, kind string, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var raw, out bytes.Buffer
	if err := write(&raw); err != nil {
		t.Fatal(err)
	}
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func verifyWithGPG(t *testing.T, s *server, public []byte, commit string) {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") // a socket's path may not be long
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	t.Setenv("GNUPGHOME", home)
	load := exec.Command("gpg", "--batch", "--no-autostart", "--import")
	load.Stdin = bytes.NewReader(public)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program := filepath.Join(home, "gpg.sh")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nGNUPGHOME="+home+" exec gpg --no-autostart \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.run(s.bare, "-c", "gpg.program="+program, "verify-commit", commit)
}
