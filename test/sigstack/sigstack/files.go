package main

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// state is what state.json says: base URLs, as Sigstore's clients want them.
type state struct {
	Fulcio    string            `json:"fulcio"`
	Rekor     string            `json:"rekor"`
	Timestamp string            `json:"timestamp"`
	Token     string            `json:"token"`   // answers with a token, see issuers.token
	Issuers   map[string]string `json:"issuers"` // "github", "gitlab", ...: the issuer in tokens and certificates
}

// write leaves the files for clients in dir; state.json is the last, and whole when it is there.
func (s *stack) write(dir string) error {
	trusted, err := s.trustedRoot()
	if err != nil {
		return err
	}
	signing, err := s.signingConfig()
	if err != nil {
		return err
	}
	st := state{Fulcio: s.authority.url, Rekor: s.rekor.url, Timestamp: s.timestamp.url, Token: s.issuers.url + "/token", Issuers: map[string]string{}}
	for name := range known() {
		st.Issuers[name] = s.issuers.of(name)
	}
	for _, file := range []struct {
		name    string
		content any
	}{{"trusted_root.json", trusted}, {"signing_config.json", signing}, {"state.json", st}} {
		data, err := json.MarshalIndent(file.content, "", "  ")
		if err != nil {
			return err
		}
		path := filepath.Join(dir, file.name)
		if err := os.WriteFile(path+".new", append(data, '\n'), 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

// since is when everything here begins to count.
func since() time.Time { return time.Now().Add(-time.Hour).UTC().Truncate(time.Second) }

func (s *stack) trustedRoot() (*root.TrustedRoot, error) {
	chain, stamps := s.authority.chain, s.timestamp.chain
	logs := func(url string, id []byte, key crypto.PublicKey) map[string]*root.TransparencyLog {
		return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
			BaseURL: url, ID: id, PublicKey: key, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256, ValidityPeriodStart: since(),
		}}
	}
	return root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root: chain[len(chain)-1], Intermediates: chain[:len(chain)-1], ValidityPeriodStart: since(), URI: s.authority.url,
		}},
		logs(s.log.url, s.log.id[:], s.log.key.Public()),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Root: stamps[len(stamps)-1], Intermediates: append([]*x509.Certificate{}, stamps[1:len(stamps)-1]...), Leaf: stamps[0],
			ValidityPeriodStart: since(), URI: s.timestamp.url,
		}},
		logs("https://"+origin, s.rekor.id, s.rekor.key.Public()),
	)
}

func (s *stack) signingConfig() (*root.SigningConfig, error) {
	service := func(url string, version uint32) []root.Service {
		return []root.Service{{URL: url, MajorAPIVersion: version, ValidityPeriodStart: since(), Operator: "sigstack"}}
	}
	one := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	return root.NewSigningConfig(root.SigningConfigMediaType02,
		service(s.authority.url, 1), service(s.issuers.of("github"), 1),
		service(s.rekor.url, 2), one, service(s.timestamp.url, 1), one)
}
