package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	fulcio "github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"sealift.dev/verify"
)

// instance is a Sigstore instance whose clock the test holds: an authority with a
// certificate log, a timestamp authority, and sigstore-go's virtual Rekor v1.
type instance struct {
	t                 testing.TB
	log               *ca.VirtualSigstore
	caKey, ctKey, tsa *ecdsa.PrivateKey
	caCert, tsaCert   *x509.Certificate
	serial            int64
}

const (
	github   = "https://token.actions.githubusercontent.com"
	workflow = "https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main"
	repo     = "https://github.com/acme/deploy"
	commit   = "2f2dd1b0a3f4a6e6a9c6b0c7a1d7a3a0b1c2d3e4"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newP256() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func newInstance(t testing.TB) *instance {
	t.Helper()
	i := &instance{t: t, log: must(ca.NewVirtualSigstore()), caKey: newP256(), ctKey: newP256(), tsa: newP256()}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA", Organization: []string{"test"}},
		NotBefore: ago(1000 * time.Hour), NotAfter: ago(-1000 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	i.caCert = i.issue(template, &template, i.caKey.Public())
	stamps := must(asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}))
	i.tsaCert = i.issue(x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test TSA"}, NotBefore: ago(1000 * time.Hour), NotAfter: ago(-1000 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: stamps}},
	}, i.caCert, i.tsa.Public())
	return i
}

func ago(d time.Duration) time.Time { return time.Now().Add(-d).Truncate(time.Second) }

func (i *instance) issue(template x509.Certificate, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	der := must(x509.CreateCertificate(rand.Reader, &template, parent, public, i.caKey))
	return must(x509.ParseCertificate(der))
}

// root is the instance's trusted_root.json.
func (i *instance) root() []byte {
	since := ago(1000 * time.Hour)
	log := func(key crypto.PublicKey, url string) (string, *root.TransparencyLog) {
		id := sha256.Sum256(must(x509.MarshalPKIXPublicKey(key)))
		return hex.EncodeToString(id[:]), &root.TransparencyLog{BaseURL: url, ID: id[:], HashFunc: crypto.SHA256, PublicKey: key,
			SignatureHashFunc: crypto.SHA256, ValidityPeriodStart: since}
	}
	rekorID, rekorLog := log(i.rekorKey(), "https://rekor.localhost")
	ctID, ctLog := log(i.ctKey.Public(), "https://ct.localhost")
	made := must(root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: i.caCert, ValidityPeriodStart: since, URI: "https://fulcio.localhost"}},
		map[string]*root.TransparencyLog{ctID: ctLog},
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Root: i.caCert, Leaf: i.tsaCert, ValidityPeriodStart: since, URI: "https://tsa.localhost"}},
		map[string]*root.TransparencyLog{rekorID: rekorLog}))
	return must(made.MarshalJSON())
}

func (i *instance) rekorKey() crypto.PublicKey {
	for _, log := range i.log.RekorLogs() {
		return log.PublicKey
	}
	return nil
}

// identity is what a certificate says, and when it begins.
type identity struct {
	issuer, subject string
	email           bool
	second          string // another subject
	claims          map[string]string
	from            time.Time
	unlisted        bool // in no certificate log
}

func (id identity) with(claim, value string) identity {
	claims := map[string]string{claim: value}
	for k, v := range id.claims {
		if k != claim {
			claims[k] = v
		}
	}
	id.claims = claims
	return id
}

// ci is GitHub's workflow of the release's commit.
func ci() identity {
	return identity{issuer: github, subject: workflow, claims: map[string]string{
		"repository": repo, "digest": commit, "ref": "refs/heads/main", "trigger": "push", "runner": "github-hosted"}}
}

func claimOIDs() map[string]asn1.ObjectIdentifier {
	return map[string]asn1.ObjectIdentifier{"repository": fulcio.OIDSourceRepositoryURI, "digest": fulcio.OIDSourceRepositoryDigest,
		"ref": fulcio.OIDSourceRepositoryRef, "trigger": fulcio.OIDBuildTrigger, "runner": fulcio.OIDRunnerEnvironment}
}

// certify issues a certificate for ten minutes as Fulcio does: a precertificate goes
// to the log, whose promise goes into the certificate.
func (i *instance) certify(id identity, public crypto.PublicKey) *x509.Certificate {
	i.t.Helper()
	i.serial++
	if id.from.IsZero() {
		id.from = ago(time.Minute)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(100 + i.serial), NotBefore: id.from, NotAfter: id.from.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}
	if id.email {
		template.EmailAddresses = []string{id.subject}
	} else {
		template.URIs = []*url.URL{must(url.Parse(id.subject))}
	}
	if id.second != "" {
		template.EmailAddresses = append(template.EmailAddresses, id.second)
	}
	template.ExtraExtensions = []pkix.Extension{{Id: fulcio.OIDIssuer, Value: []byte(id.issuer)}, {Id: fulcio.OIDIssuerV2, Value: must(asn1.MarshalWithParams(id.issuer, "utf8"))}}
	for name, oid := range claimOIDs() {
		if value, ok := id.claims[name]; ok {
			template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oid, Value: must(asn1.MarshalWithParams(value, "utf8"))})
		}
	}
	if id.unlisted {
		return i.issue(template, i.caCert, public)
	}
	plain := template.ExtraExtensions
	poison := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: asn1.NullBytes}
	template.ExtraExtensions = append(plain[:len(plain):len(plain)], poison)
	promise := i.promise(i.issue(template, i.caCert, public), id.from)
	template.ExtraExtensions = append(plain[:len(plain):len(plain)], promise)
	return i.issue(template, i.caCert, public)
}

// promise is the certificate log's, as an extension.
func (i *instance) promise(precert *x509.Certificate, at time.Time) pkix.Extension {
	leaf := must(ct.MerkleTreeLeafFromRawChain([]ct.ASN1Cert{{Data: precert.Raw}, {Data: i.caCert.Raw}}, ct.PrecertLogEntryType, uint64(at.UnixMilli())))
	id := sha256.Sum256(must(x509.MarshalPKIXPublicKey(i.ctKey.Public())))
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: id}, Timestamp: uint64(at.UnixMilli())}
	input := must(ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf}))
	sct.Signature = ct.DigitallySigned(must(cttls.CreateSignature(*i.ctKey, cttls.SHA256, input)))
	list := must(cttls.Marshal(ctx509.SignedCertificateTimestampList{SCTList: []ctx509.SerializedSCT{{Val: must(cttls.Marshal(sct))}}}))
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: must(asn1.Marshal(list))}
}

// witnesses say what goes along with a signature.
type witnesses struct {
	logged    time.Time // zero: now
	unlogged  bool
	unproved  bool // no inclusion proof
	unpromise bool // no promise, and so no time by the log
	stamped   time.Time
	stampOver []byte                               // nil: the signature
	entry     func(*rekor.TransparencyLogEntry)    // edits the log's entry
	bundle    func(*protobundle.Bundle, *instance) // edits the bundle
}

// sign makes a keyless bundle of a statement.
func (i *instance) sign(id identity, statement string, w witnesses) []byte {
	i.t.Helper()
	key := newP256()
	cert := i.certify(id, key.Public())
	signature := signP256(key, dsse.PAE(verify.PayloadType, []byte(statement)))
	made := i.seal(&protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{
		Certificate: &common.X509Certificate{RawBytes: cert.Raw}}}, statement, signature, certPEM(cert), w)
	return made
}

// signKey makes a bundle with a long-lived key, with the witnesses.
func (i *instance) signKey(key keypair, statement string, w witnesses) []byte {
	i.t.Helper()
	signature := key.sign(i.t, string(dsse.PAE(verify.PayloadType, []byte(statement))))
	return i.seal(&protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{
		PublicKey: &common.PublicKeyIdentifier{Hint: "x"}}}, statement, signature, []byte(key.pem(i.t)), w)
}

func (i *instance) seal(material *protobundle.VerificationMaterial, statement string, signature, verifier []byte, w witnesses) []byte {
	b := &protobundle.Bundle{MediaType: verify.BundleType, VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{PayloadType: verify.PayloadType, Payload: []byte(statement),
			Signatures: []*protodsse.Signature{{Sig: signature}}}}}
	if !w.unlogged {
		entry := i.entry("dsse", dsseBody(statement, signature, verifier), w)
		material.TlogEntries = []*rekor.TransparencyLogEntry{entry}
	}
	if !w.stamped.IsZero() {
		over := signature
		if w.stampOver != nil {
			over = w.stampOver
		}
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*common.RFC3161SignedTimestamp{{SignedTimestamp: i.stamp(over, w.stamped)}}}
	}
	if w.bundle != nil {
		w.bundle(b, i)
	}
	return must(protojson.Marshal(b))
}

// entry puts a body into the log.
func (i *instance) entry(kind string, body []byte, w witnesses) *rekor.TransparencyLogEntry {
	at := w.logged
	if at.IsZero() {
		at = ago(0)
	}
	id := sha256.Sum256(must(x509.MarshalPKIXPublicKey(i.rekorKey())))
	entry := &rekor.TransparencyLogEntry{LogIndex: 4711, LogId: &common.LogId{KeyId: id[:]}, IntegratedTime: at.Unix(), CanonicalizedBody: body,
		KindVersion: &rekor.KindVersion{Kind: kind, Version: "0.0.1"}}
	if !w.unpromise {
		promise := must(i.log.RekorSignPayload(tlog.RekorPayload{Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: at.Unix(), LogIndex: 4711, LogID: hex.EncodeToString(id[:])}))
		entry.InclusionPromise = &rekor.InclusionPromise{SignedEntryTimestamp: promise}
	}
	if !w.unproved {
		proof := must(i.log.GetInclusionProof(body))
		entry.InclusionProof = &rekor.InclusionProof{LogIndex: *proof.LogIndex, TreeSize: *proof.TreeSize, RootHash: must(hex.DecodeString(*proof.RootHash)),
			Checkpoint: &rekor.Checkpoint{Envelope: *proof.Checkpoint}}
	}
	if w.entry != nil {
		w.entry(entry)
	}
	return entry
}

func dsseBody(statement string, signature, verifier []byte) []byte {
	payload := sha256.Sum256([]byte(statement))
	return must(json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": "dsse", "spec": map[string]any{
		"envelopeHash": map[string]string{"algorithm": "sha256", "value": hex.EncodeToString(payload[:])},
		"payloadHash":  map[string]string{"algorithm": "sha256", "value": hex.EncodeToString(payload[:])},
		"signatures":   []any{map[string]any{"signature": base64.StdEncoding.EncodeToString(signature), "verifier": verifier}},
	}}))
}

func hashedBody(payload string, signature, verifier []byte) []byte {
	sum := sha256.Sum256([]byte(payload))
	return must(json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": map[string]any{
		"data":      map[string]any{"hash": map[string]string{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}},
		"signature": map[string]any{"content": signature, "publicKey": map[string]any{"content": verifier}},
	}}))
}

// stamp is a timestamp over data.
func (i *instance) stamp(data []byte, at time.Time) []byte {
	request := must(timestamp.ParseRequest(must(timestamp.CreateRequest(bytes.NewReader(data), &timestamp.RequestOptions{Hash: crypto.SHA256}))))
	answer := timestamp.Timestamp{HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Time: at,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}}
	return must(answer.CreateResponseWithOpts(i.tsaCert, i.tsa, crypto.SHA256))
}

// notes are the annotations of a legacy signature by id, and the signature in base64.
func (i *instance) notes(id identity, payload string, w witnesses) map[string]string {
	i.t.Helper()
	key := newP256()
	cert := i.certify(id, key.Public())
	signature := signP256(key, []byte(payload))
	notes := map[string]string{verify.SignatureNote: base64.StdEncoding.EncodeToString(signature), verify.CertificateNote: string(certPEM(cert)),
		"dev.sigstore.cosign/chain": string(certPEM(i.caCert))}
	if !w.unlogged {
		w.unproved = true
		entry := i.entry("hashedrekord", hashedBody(payload, signature, certPEM(cert)), w)
		notes[verify.LogNote] = fmt.Sprintf(`{"SignedEntryTimestamp":%q,"Payload":{"body":%q,"integratedTime":%d,"logIndex":%d,"logID":%q}}`,
			base64.StdEncoding.EncodeToString(entry.GetInclusionPromise().GetSignedEntryTimestamp()), base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()),
			entry.GetIntegratedTime(), entry.GetLogIndex(), hex.EncodeToString(entry.GetLogId().GetKeyId()))
	}
	if !w.stamped.IsZero() {
		notes[verify.TimestampNote] = fmt.Sprintf(`{"SignedRFC3161Timestamp":%q}`, base64.StdEncoding.EncodeToString(i.stamp(signature, w.stamped)))
	}
	return notes
}

func certPEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func signP256(key *ecdsa.PrivateKey, data []byte) []byte {
	sum := sha256.Sum256(data)
	return must(key.Sign(rand.Reader, sum[:], crypto.SHA256))
}
