package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigstoreverify "github.com/sigstore/sigstore-go/pkg/verify"

	"sealift.dev/internal/strict"
)

// The annotations of a legacy signature's layer that say who made it, and when. They
// are no part of what is signed.
const (
	CertificateNote = "dev.sigstore.cosign/certificate"      // PEM
	LogNote         = "dev.sigstore.cosign/bundle"           // an entry of Rekor v1, as JSON
	TimestampNote   = "dev.sigstore.cosign/rfc3161timestamp" // a response of RFC 3161, in JSON

	maxNoteBytes = 128 << 10

	// oldBundleType needs no inclusion proof: Rekor's promise to include is all that a
	// legacy signature has.
	oldBundleType = "application/vnd.dev.sigstore.bundle+json;version=0.1"
)

// readNotes makes a bundle of a legacy signature, so that certificates, logs and
// timestamps of both formats are verified by the same code. The chain that may be
// beside the certificate is not looked at: the trusted root has one.
func readNotes(payload []byte, encoded string, notes map[string]string) (*logged, error) {
	for _, name := range []string{CertificateNote, LogNote, TimestampNote} {
		if len(notes[name]) > maxNoteBytes {
			return nil, fmt.Errorf("has an annotation %s of %d bytes, more than the limit of %d", name, len(notes[name]), maxNoteBytes)
		}
	}
	signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return nil, fmt.Errorf("has a signature that is not in base64: %w", err)
	}
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &common.PublicKeyIdentifier{}}}
	if err := readCertificateNote(notes[CertificateNote], material); err != nil {
		return nil, fmt.Errorf("has a malformed annotation %s: %w", CertificateNote, err)
	}
	if err := readLogNote(notes[LogNote], material); err != nil {
		return nil, fmt.Errorf("has a malformed annotation %s: %w", LogNote, err)
	}
	if err := readTimestampNote(notes[TimestampNote], material); err != nil {
		return nil, fmt.Errorf("has a malformed annotation %s: %w", TimestampNote, err)
	}
	sum := sha256.Sum256(payload)
	made, err := bundle.NewBundle(&protobundle.Bundle{
		MediaType: oldBundleType, VerificationMaterial: material,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &common.MessageSignature{
			MessageDigest: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: sum[:]}, Signature: signature,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("has annotations that make no bundle: %w", err)
	}
	return &logged{Bundle: made, artifact: func() sigstoreverify.ArtifactPolicyOption {
		return sigstoreverify.WithArtifact(bytes.NewReader(payload))
	}}, nil
}

func readCertificateNote(note string, into *protobundle.VerificationMaterial) error {
	if note == "" {
		return nil
	}
	block, rest := pem.Decode([]byte(note))
	switch {
	case block == nil || block.Type != "CERTIFICATE":
		return errors.New("it is no certificate in PEM")
	case strings.TrimSpace(string(rest)) != "":
		return errors.New("something follows the certificate")
	}
	into.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &common.X509Certificate{RawBytes: block.Bytes}}
	return nil
}

// logNote is an entry of Rekor v1 as cosign 2 keeps it, with the log's promise.
type logNote struct {
	Promise string `json:"SignedEntryTimestamp"`
	Payload struct {
		Body  string `json:"body"`
		Time  int64  `json:"integratedTime"`
		Index int64  `json:"logIndex"`
		Log   string `json:"logID"`
	} `json:"Payload"`
}

// logBody is as much of an entry's body as says what it is.
type logBody struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func readLogNote(note string, into *protobundle.VerificationMaterial) error {
	if note == "" {
		return nil
	}
	var entry logNote
	if err := strict.Unmarshal([]byte(note), &entry); err != nil {
		return err
	}
	promise, err := base64.StdEncoding.DecodeString(entry.Promise)
	if err != nil {
		return fmt.Errorf("SignedEntryTimestamp: %w", err)
	}
	body, err := base64.StdEncoding.DecodeString(entry.Payload.Body)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	log, err := hex.DecodeString(entry.Payload.Log)
	if err != nil {
		return fmt.Errorf("logID: %w", err)
	}
	var kind logBody
	if err := strict.Unmarshal(body, &kind); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if entry.Payload.Time <= 0 || entry.Payload.Index < 0 {
		return errors.New("its time or its index is negative, or missing")
	}
	into.TlogEntries = []*rekor.TransparencyLogEntry{{
		LogIndex: entry.Payload.Index, LogId: &common.LogId{KeyId: log}, IntegratedTime: entry.Payload.Time,
		KindVersion:       &rekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		InclusionPromise:  &rekor.InclusionPromise{SignedEntryTimestamp: promise},
		CanonicalizedBody: body,
	}}
	return nil
}

func readTimestampNote(note string, into *protobundle.VerificationMaterial) error {
	if note == "" {
		return nil
	}
	var stamp struct {
		Response []byte `json:"SignedRFC3161Timestamp"`
	}
	if err := strict.Unmarshal([]byte(note), &stamp); err != nil {
		return err
	}
	if len(stamp.Response) == 0 {
		return errors.New("SignedRFC3161Timestamp is missing")
	}
	into.TimestampVerificationData = &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*common.RFC3161SignedTimestamp{{SignedTimestamp: stamp.Response}},
	}
	return nil
}
