package attest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"

	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

// BillOf is a CycloneDX 1.6 bill of the images in the release at ref, in JSON:
// https://cyclonedx.org/docs/1.6/json/. What is in an image is its own bill's matter.
// Two calls with the same arguments give the same bytes: it has no serial number, and
// the commit's time. Images without a digest are listed by what they are called.
func BillOf(ref artifact.Ref, b publisher.Build, run Run) (json.RawMessage, error) {
	release := cyclonedx.Component{
		BOMRef:     purl(ref.Repository, ref.Digest, ""),
		Type:       cyclonedx.ComponentTypeApplication,
		Name:       ref.Repository.String(),
		Version:    b.Statement.Version,
		PackageURL: purl(ref.Repository, ref.Digest, ""),
		Hashes:     &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: ref.Digest.Encoded()}},
	}
	components, names := []cyclonedx.Component{}, []string{}
	for _, i := range b.Contents.Images {
		c := component(i)
		components, names = append(components, c), append(names, c.BOMRef)
	}
	bill := cyclonedx.NewBOM()
	bill.SpecVersion, bill.JSONSchema = cyclonedx.SpecVersion1_6, "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bill.Metadata = &cyclonedx.Metadata{
		Timestamp: b.Statement.Created.UTC().Format(time.RFC3339),
		Component: &release,
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{
			{Type: cyclonedx.ComponentTypeApplication, Name: "sealift", Version: run.Version},
		}},
	}
	bill.Components = &components
	bill.Dependencies = &[]cyclonedx.Dependency{{Ref: release.BOMRef, Dependencies: &names}}
	return json.Marshal(bill)
}

// component is one image; its reference is unique, because images are listed once.
func component(i artifact.Image) cyclonedx.Component {
	c := cyclonedx.Component{Type: cyclonedx.ComponentTypeContainer, Name: i.Name, Version: i.Tag, BOMRef: written(i)}
	if at, d, ok := image(i); ok {
		c.PackageURL = purl(at, d, i.Tag)
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: d.Encoded()}}
		c.Version = d.String()
	}
	properties := []cyclonedx.Property{}
	for _, platform := range i.Platforms {
		properties = append(properties, cyclonedx.Property{Name: "sealift:platform", Value: platform})
	}
	for _, by := range i.SignedBy {
		properties = append(properties, cyclonedx.Property{Name: "sealift:signedBy", Value: by})
	}
	if len(properties) > 0 {
		c.Properties = &properties
	}
	return c
}

// written is the image as a manifest writes it.
func written(i artifact.Image) string {
	var b strings.Builder
	b.WriteString(i.Name)
	if i.Tag != "" {
		b.WriteString(":" + i.Tag)
	}
	if i.Digest != "" {
		b.WriteString("@" + i.Digest)
	}
	return b.String()
}
