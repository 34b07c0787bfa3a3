package policy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"

	"sealift.dev/internal/objects"
)

const (
	// MaxDocumentBytes is the size of the largest policy file that Parse reads.
	MaxDocumentBytes = 1 << 20
	// MaxDocuments is how many policies Parse reads from one file.
	MaxDocuments = 64

	apiVersion = "sealift.dev/v1alpha1"
	kind       = "TrustPolicy"
)

// Named is a policy and what reports call it.
type Named struct {
	Name   string
	Policy Policy
}

// document is a TrustPolicy as it is written in a file.
type document struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Spec       Policy   `json:"spec"`
}

type metadata struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Parse reads the TrustPolicy documents in data, with defaults applied. Unknown
// fields, duplicate keys, other kinds and policies that do not validate are
// errors; so is data without any policy. References to Secrets stay as they are.
func Parse(data []byte) ([]Named, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
		return nil, errors.New("reading the trust policy: it is a key; hint: name it with --key, or put it into a TrustPolicy")
	}
	if len(data) > MaxDocumentBytes {
		return nil, fmt.Errorf("reading the trust policy: %d bytes are more than the limit of %d", len(data), MaxDocumentBytes)
	}
	texts, err := split(data)
	if err != nil {
		return nil, fmt.Errorf("reading the trust policy: %w", err)
	}
	var policies []Named
	seen := map[string]bool{}
	for i, text := range texts {
		named, err := parseOne(text)
		if err != nil {
			return nil, fmt.Errorf("reading the trust policy: document %d: %w", i+1, err)
		}
		if seen[named.Name] {
			return nil, fmt.Errorf("reading the trust policy: document %d: the name %q is taken by an earlier one", i+1, named.Name)
		}
		seen[named.Name] = true
		policies = append(policies, named)
	}
	if len(policies) == 0 {
		return nil, errors.New("reading the trust policy: it holds no document; hint: write kind: TrustPolicy, apiVersion: sealift.dev/v1alpha1")
	}
	return policies, nil
}

// checkKind comes before the fields: of another kind, all of them are unknown.
func checkKind(asJSON []byte) error {
	var doc struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(asJSON, &doc); err != nil {
		return err
	}
	if doc.APIVersion != apiVersion || doc.Kind != kind {
		return fmt.Errorf("it is %q %q; hint: write apiVersion: %s, kind: %s", doc.APIVersion, doc.Kind, apiVersion, kind)
	}
	return nil
}

// split cuts data into its YAML documents and drops empty ones.
func split(data []byte) ([][]byte, error) {
	var texts [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err != nil {
			return nil, err
		}
		documents, err := objects.Documents(objects.File{Path: "policy.yaml", Data: text}, limits())
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(texts)+1, err)
		}
		for _, d := range documents {
			texts = append(texts, d.JSON)
		}
		if len(texts) > MaxDocuments {
			return nil, fmt.Errorf("it holds more than %d documents", MaxDocuments)
		}
	}
}

// limits bound what a document may become in memory: aliases multiply it.
func limits() objects.Limits {
	return objects.Limits{Documents: MaxDocuments, Document: MaxDocumentBytes, Values: 100_000, Depth: 100}
}

func parseOne(asJSON []byte) (Named, error) {
	var doc document
	if err := checkKind(asJSON); err != nil {
		return Named{}, err
	}
	strict, err := kjson.UnmarshalStrict(asJSON, &doc)
	if err == nil {
		err = errors.Join(strict...)
	}
	if err != nil {
		return Named{}, err
	}
	if doc.Metadata.Name == "" {
		return Named{}, errors.New("metadata.name is missing")
	}
	if problems := validation.IsDNS1123Subdomain(doc.Metadata.Name); len(problems) > 0 {
		return Named{}, fmt.Errorf("metadata.name %q is not a name in a cluster: %s", doc.Metadata.Name, problems[0])
	}
	named := Named{Name: doc.Metadata.Name, Policy: doc.Spec.WithDefaults()}
	if err := named.Policy.check(); err != nil {
		return Named{}, fmt.Errorf("policy %q: %w", named.Name, err)
	}
	return named, nil
}

// OfKey is a policy of one authority, named "key", whose signature in either
// format counts for every repository.
func OfKey(pem []byte) (Named, error) {
	named := Named{Name: "key", Policy: Policy{Trust: Trust{
		Formats:     []Format{Bundle, Legacy},
		Authorities: []Authority{{Name: "key", Key: &Key{Data: string(pem)}}},
	}}.WithDefaults()}
	if err := named.Policy.Validate(); err != nil {
		return Named{}, err
	}
	return named, nil
}

// OfIdentity is a policy of one authority, named "identity", whose signature in
// either format counts for every repository.
func OfIdentity(identity Keyless) (Named, error) {
	named := Named{Name: "identity", Policy: Policy{Trust: Trust{
		Formats:     []Format{Bundle, Legacy},
		Authorities: []Authority{{Name: "identity", Keyless: &identity}},
	}}.WithDefaults()}
	if err := named.Policy.Validate(); err != nil {
		return Named{}, err
	}
	return named, nil
}
