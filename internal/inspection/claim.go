package inspection

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"

	"sealift.dev/internal/strict"
)

// bundle is as much of a Sigstore bundle as tells who claims to have signed what.
// See the protobuf specification of Sigstore, "Bundle".
type bundle struct {
	Material struct {
		PublicKey   *publicKey   `json:"publicKey"`
		Certificate *certificate `json:"certificate"`
		Chain       *chain       `json:"x509CertificateChain"`
	} `json:"verificationMaterial"`
	Envelope *envelope `json:"dsseEnvelope"`
}

type publicKey struct {
	Hint string `json:"hint"`
}

type chain struct {
	Certificates []certificate `json:"certificates"`
}

type envelope struct {
	Payload []byte `json:"payload"`
}

type certificate struct {
	RawBytes []byte `json:"rawBytes"`
}

func (c *claim) read(data []byte) error {
	var b bundle
	if err := strict.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("it is no Sigstore bundle: %w", err)
	}
	if b.Material.PublicKey != nil {
		c.KeyHint = b.Material.PublicKey.Hint
	}
	leaf := b.Material.Certificate
	if leaf == nil && b.Material.Chain != nil && len(b.Material.Chain.Certificates) > 0 {
		leaf = &b.Material.Chain.Certificates[0]
	}
	if leaf != nil {
		if err := c.certificate(leaf.RawBytes); err != nil {
			return err
		}
	}
	if b.Envelope == nil {
		return errors.New("it holds no statement")
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
	}
	if err := strict.Unmarshal(b.Envelope.Payload, &statement); err != nil {
		return fmt.Errorf("its statement cannot be read: %w", err)
	}
	c.predicate = statement.PredicateType
	return nil
}

func (s *Signature) certificatePEM(chain []byte) error {
	block, _ := pem.Decode(chain)
	if block == nil {
		return errors.New("its certificate is not PEM")
	}
	return s.certificate(block.Bytes)
}

// certificate takes whom a certificate names: as a URI or e-mail address, or in
// the extension that Fulcio has for other names.
func (s *Signature) certificate(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("its certificate cannot be read: %w", err)
	}
	switch {
	case len(cert.URIs) > 0:
		s.Identity = cert.URIs[0].String()
	case len(cert.EmailAddresses) > 0:
		s.Identity = cert.EmailAddresses[0]
	}
	// Fulcio's "Issuer (V2)"; see fulcio/docs/oid-info.md.
	issuer := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	for _, extension := range cert.Extensions {
		if extension.Id.Equal(issuer) {
			if _, err := asn1.Unmarshal(extension.Value, &s.Issuer); err != nil {
				return fmt.Errorf("its certificate's issuer cannot be read: %w", err)
			}
		}
	}
	return nil
}
