package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
)

// certificateLog promises to log every certificate (RFC 6962, add-pre-chain) and keeps none.
type certificateLog struct {
	url string
	key *ecdsa.PrivateKey
	id  [sha256.Size]byte // of the public key
}

func startCertificateLog() (*certificateLog, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	l := &certificateLog{key: key, id: sha256.Sum256(der)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+ct.AddPreChainPath, l.add)
	l.url, err = serve(mux)
	return l, err
}

func (l *certificateLog) add(w http.ResponseWriter, r *http.Request) {
	var request ct.AddChainRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&request); err != nil {
		refuse(w, fmt.Errorf("reading the chain: %w", err))
		return
	}
	answer, err := l.promise(request.Chain)
	if err != nil {
		refuse(w, err)
		return
	}
	json.NewEncoder(w).Encode(answer)
}

// promise signs a timestamp for the precertificate that begins the chain.
func (l *certificateLog) promise(raw [][]byte) (*ct.AddChainResponse, error) {
	var chain []ct.ASN1Cert
	for _, der := range raw {
		chain = append(chain, ct.ASN1Cert{Data: der})
	}
	now := uint64(time.Now().UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromRawChain(chain, ct.PrecertLogEntryType, now)
	if err != nil {
		return nil, err
	}
	promised := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: l.id}, Timestamp: now}
	input, err := ct.SerializeSCTSignatureInput(promised, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	signature, err := tls.CreateSignature(*l.key, tls.SHA256, input)
	if err != nil {
		return nil, err
	}
	encoded, err := tls.Marshal(ct.DigitallySigned(signature))
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{SCTVersion: ct.V1, ID: l.id[:], Timestamp: now, Signature: encoded}, nil
}
