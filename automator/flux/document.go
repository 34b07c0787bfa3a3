package flux

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"sealift.dev/internal/objects"
	"sealift.dev/internal/strict"
)

// The groups whose documents count.
const (
	imageGroup     = "image.toolkit.fluxcd.io"
	kustomizeGroup = "kustomize.toolkit.fluxcd.io"
)

// MayHaveDocuments says whether Read has a use for a file. Of a kustomization the name is enough.
func MayHaveDocuments(name string, data []byte) bool {
	if isKustomization(name) {
		return true
	}
	ext := path.Ext(name)
	return (ext == ".yaml" || ext == ".yml") && isOfInterest(data)
}

// isOfInterest looks at the bytes alone: most files, and the megabyte of Flux's own
// components, are not worth parsing.
func isOfInterest(data []byte) bool {
	for _, word := range []string{imageGroup + "/", kustomizeGroup + "/", "kind: Namespace"} {
		if bytes.Contains(data, []byte(word)) {
			return true
		}
	}
	return false
}

func isKustomization(name string) bool {
	switch path.Base(name) {
	case "kustomization.yaml", "kustomization.yml", "Kustomization":
		return true
	}
	return false
}

// document is one object of a file.
type document struct {
	file       string
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec  json.RawMessage   `json:"spec"`
	Items []json.RawMessage `json:"items"`
}

func (d document) group() string {
	group, _, _ := strings.Cut(d.APIVersion, "/")
	return group
}

func (d document) version() string {
	_, version, _ := strings.Cut(d.APIVersion, "/")
	return version
}

// documents reads the objects of one file that are of interest; lists are flattened.
func (r *reader) documents(f File) []document {
	if len(f.Data) > maxFileBytes {
		r.note(f.Path, "", fmt.Sprintf("it is larger than %d bytes", maxFileBytes))
		return nil
	}
	if isKustomization(f.Path) && !bytes.Contains(f.Data, []byte(imageGroup)) {
		return nil // it is no object of a cluster
	}
	var found []document
	for _, chunk := range split(f.Data) {
		if !isOfInterest(chunk) {
			continue
		}
		parsed, err := objects.Documents(objects.File{Path: f.Path, Data: chunk}, objects.DefaultLimits())
		if err != nil {
			r.note(f.Path, "", fmt.Sprintf("a document cannot be read: %v", err))
			continue
		}
		for _, p := range parsed {
			found = r.flatten(f.Path, p.JSON, found, true)
		}
	}
	return found
}

func (r *reader) flatten(file string, data []byte, found []document, lists bool) []document {
	d := document{file: file}
	if err := strict.Unmarshal(data, &d); err != nil {
		if bytes.Contains(data, []byte(imageGroup+"/")) {
			r.note(file, "", fmt.Sprintf("a document cannot be read: %v", err))
		}
		return found
	}
	if lists && strings.HasSuffix(d.Kind, "List") && d.Metadata.Name == "" {
		for _, item := range d.Items {
			found = r.flatten(file, item, found, false)
		}
		return found
	}
	switch {
	case d.group() == imageGroup, d.group() == kustomizeGroup && d.Kind == "Kustomization", d.APIVersion == "v1" && d.Kind == "Namespace":
	default:
		return found
	}
	if r.objects++; r.objects > maxObjects {
		if r.objects == maxObjects+1 {
			r.note(file, "", fmt.Sprintf("the tree has more than %d of Flux's objects; these and the following are not read", maxObjects))
		}
		return found
	}
	return append(found, d)
}

// split cuts at lines that begin with ---, which nothing within a document can.
func split(data []byte) [][]byte {
	var chunks [][]byte
	for {
		end := bytes.Index(data, []byte("\n---"))
		if end < 0 {
			return append(chunks, data)
		}
		chunks, data = append(chunks, data[:end+1]), data[end+1:]
	}
}
