// Package attest says how a release came to be and what is in it: SLSA provenance and
// a CycloneDX bill of its images. It builds predicates, and signs and writes nothing.
package attest

import (
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
)

// Predicate types.
const (
	ProvenanceType = "https://slsa.dev/provenance/v1"
	BillType       = "https://cyclonedx.org/bom"
)

// purl is the package URL of an OCI artifact:
// https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md.
func purl(at artifact.Repository, d digest.Digest, tag string) string {
	name := at.Path[strings.LastIndexByte(at.Path, '/')+1:]
	qualifiers := "repository_url=" + escape(at.String())
	if tag != "" {
		qualifiers += "&tag=" + escape(tag)
	}
	return "pkg:oci/" + escape(strings.ToLower(name)) + "@" + url.QueryEscape(d.String()) + "?" + qualifiers
}

// escape leaves colons and slashes, as the specification does.
func escape(s string) string {
	return strings.NewReplacer("%2F", "/", "%3A", ":", "+", "%20").Replace(url.QueryEscape(s))
}

// image is where an image of a release lies. False: it is written in a way that names
// no one image.
func image(i artifact.Image) (at artifact.Repository, d digest.Digest, ok bool) {
	d = digest.Digest(i.Digest)
	address, err := artifact.ParseImage(i.Name)
	if err != nil || d.Validate() != nil {
		return artifact.Repository{}, "", false
	}
	return address.Repository, d, true
}
