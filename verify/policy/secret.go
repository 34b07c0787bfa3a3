package policy

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The keys of a Secret that are read where a reference names none.
const (
	DefaultKeyEntry         = "cosign.pub"
	DefaultTrustedRootEntry = "trusted_root.json"
)

// blank is where the content of a Secret belongs.
type blank struct {
	what string // for errors
	ref  **SecretKey
	data *string
	// entry is what is read where the reference names none.
	entry string
}

// blanks are the references in p, in order; filling one changes p.
func (p *Policy) blanks() []blank {
	found := p.Trust.blanks()
	for i := range p.Attestations {
		for j := range p.Attestations[i].Authorities {
			attestor := &p.Attestations[i].Authorities[j]
			found = append(found, blanks(attestor.Name, attestor.Key, attestor.Keyless)...)
		}
	}
	return found
}

func (t *Trust) blanks() []blank {
	var found []blank
	for i := range t.Authorities {
		found = append(found, blanks(t.Authorities[i].Name, t.Authorities[i].Key, t.Authorities[i].Keyless)...)
	}
	return found
}

func blanks(name string, key *Key, keyless *Keyless) []blank {
	if key != nil && key.SecretRef != nil {
		return []blank{{fmt.Sprintf("the key of authority %q", name), &key.SecretRef, &key.Data, DefaultKeyEntry}}
	}
	if keyless != nil && keyless.TrustedRoot != nil && keyless.TrustedRoot.SecretRef != nil {
		root := keyless.TrustedRoot
		return []blank{{fmt.Sprintf("the trusted root of authority %q", name), &root.SecretRef, &root.Data, DefaultTrustedRootEntry}}
	}
	return nil
}

// Secrets names the Secrets that p refers to.
func (p Policy) Secrets() []string {
	var names []string
	for _, b := range p.blanks() {
		names = append(names, (*b.ref).Name)
	}
	return names
}

// Resolve is p with the content of the Secrets that it refers to as data. The
// function read is given each reference with its key set.
func (p Policy) Resolve(read func(SecretKey) ([]byte, error)) (Policy, error) {
	if len(p.blanks()) == 0 {
		return p, nil
	}
	resolved := *p.DeepCopy()
	for _, b := range resolved.blanks() {
		ref := **b.ref
		if ref.Key == "" {
			ref.Key = b.entry
		}
		data, err := read(ref)
		if err != nil {
			return Policy{}, fmt.Errorf("%s: %w", b.what, err)
		}
		*b.data, *b.ref = string(data), nil
	}
	return resolved, nil
}

// stamp writes a time as policies do.
func stamp(t *metav1.Time) string { return t.UTC().Format(time.RFC3339) }
