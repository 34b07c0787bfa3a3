package artifact

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry"
)

// Scheme is how a registry address begins where a URL is expected.
const Scheme = "oci://"

// Repository is a repository in a registry: HOST/PATH, without tag or digest.
type Repository struct {
	Host string // with a port, if any
	Path string
}

// String is HOST/PATH, as dev.sealift.repository records it.
func (r Repository) String() string { return r.Host + "/" + r.Path }

// At is the manifest with digest d in this repository.
func (r Repository) At(d digest.Digest) Ref { return Ref{Repository: r, Digest: d} }

// Ref names one manifest, always by digest.
type Ref struct {
	Repository Repository
	Digest     digest.Digest
}

// String is HOST/PATH@sha256:HEX.
func (r Ref) String() string { return r.Repository.String() + "@" + r.Digest.String() }

// Address is what a person may write: a repository with a tag, a digest, both or neither.
type Address struct {
	Repository Repository
	Tag        string
	Digest     digest.Digest
}

// ParseAddress reads oci://HOST/PATH[:TAG][@DIGEST]; the scheme may be left out.
func ParseAddress(s string) (Address, error) {
	trimmed := strings.TrimPrefix(s, Scheme)
	if strings.Contains(trimmed, "://") {
		return Address{}, fmt.Errorf("%q is not a registry address; hint: write oci://HOST/REPOSITORY", s)
	}
	name, dig, _ := strings.Cut(trimmed, "@")
	parsed, err := registry.ParseReference(name)
	if err != nil {
		return Address{}, fmt.Errorf("registry address %q: %w", s, err)
	}
	a := Address{Repository: Repository{Host: canonicalHost(parsed.Registry), Path: parsed.Repository}, Tag: parsed.Reference}
	if strings.Trim(a.Repository.Host, ".") == "" {
		return Address{}, fmt.Errorf("registry address %q: %q is not a host", s, parsed.Registry)
	}
	if dig == "" {
		if strings.HasSuffix(trimmed, "@") {
			return Address{}, fmt.Errorf("registry address %q: the digest is empty", s)
		}
		return a, nil
	}
	a.Digest = digest.Digest(dig)
	if err := a.Digest.Validate(); err != nil || a.Digest.Algorithm() != digest.SHA256 {
		return Address{}, fmt.Errorf("registry address %q: %q is not a sha256 digest", s, dig)
	}
	return a, nil
}

// canonicalHost gives the spellings of one registry one form, so that a policy
// cannot be escaped by writing its host otherwise: lower case, no dot at the end,
// and neither of the ports that the scheme implies.
func canonicalHost(host string) string {
	host = strings.ToLower(host)
	for _, port := range []string{":443", ":80"} {
		host = strings.TrimSuffix(host, port)
	}
	name, port, found := strings.Cut(host, ":")
	if found && !strings.HasPrefix(host, "[") {
		return strings.TrimRight(name, ".") + ":" + port
	}
	return strings.TrimRight(host, ".")
}

// ParseRepository reads oci://HOST/PATH and refuses a tag or digest.
func ParseRepository(s string) (Repository, error) {
	a, err := ParseAddress(s)
	if err != nil {
		return Repository{}, err
	}
	if a.Tag != "" || a.Digest != "" {
		return Repository{}, fmt.Errorf("registry address %q: a repository is wanted, without tag or digest", s)
	}
	return a.Repository, nil
}
