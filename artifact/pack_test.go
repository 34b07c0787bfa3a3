package artifact

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

func exampleStatement() Statement {
	return Statement{
		Source: "https://git.example.com/acme/deploy", Revision: "main@sha1:0123456789012345678901234567890123456789",
		Version: "1.2.3", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Repository: "registry.example.com/deploy/shop", Epoch: 1, Sequence: 7, Ref: "refs/heads/main",
	}
}

func parse(t *testing.T, data string) []*unstructured.Unstructured {
	t.Helper()
	objs, err := objects.Decode([]objects.File{{Path: "f.yaml", Data: []byte(data)}}, objects.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

const twoObjects = `
{apiVersion: v1, kind: Service, metadata: {name: shop}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: shop}, spec: {template: {spec: {containers: [{image: "r:5000/shop:1.0@sha256:aa"}, {image: "r:5000/side"}]}}}}
`

func TestStatementReadsBack(t *testing.T) {
	got, err := ParseStatement(exampleStatement().Annotations())
	if err != nil || got != exampleStatement() {
		t.Fatal(got, err)
	}
	if got.Commit() != "0123456789012345678901234567890123456789" {
		t.Fatal(got.Commit())
	}
}

func TestParseStatement(t *testing.T) {
	for name, c := range map[string]struct {
		edits map[string]string
		want  string
	}{
		"as it is":           {nil, ""},
		"escapes":            {map[string]string{ocispec.AnnotationRevision: "\x1b[31m"}, ""},
		"largest":            {map[string]string{AnnotationSequence: "9223372036854775807"}, ""},
		"sequence -1":        {map[string]string{AnnotationSequence: "-1"}, "is no number"},
		"sequence 0":         {map[string]string{AnnotationSequence: "0"}, "is no number"},
		"sequence 1e9":       {map[string]string{AnnotationSequence: "1e9"}, "is no number"},
		"sequence ' 7'":      {map[string]string{AnnotationSequence: " 7"}, "is no number"},
		"sequence +7":        {map[string]string{AnnotationSequence: "+7"}, "is no number"},
		"sequence 007":       {map[string]string{AnnotationSequence: "007"}, "is no number"},
		"sequence 7_0":       {map[string]string{AnnotationSequence: "7_0"}, "is no number"},
		"sequence 2^63":      {map[string]string{AnnotationSequence: "9223372036854775808"}, "is no number"},
		"sequence 2^64":      {map[string]string{AnnotationSequence: "18446744073709551616"}, "is no number"},
		"sequence, newline":  {map[string]string{AnnotationSequence: "7\n"}, "is no number"},
		"epoch 007":          {map[string]string{AnnotationEpoch: "007"}, "is no number"},
		"no sequence":        {map[string]string{AnnotationSequence: ""}, AnnotationSequence + " is missing"},
		"no epoch":           {map[string]string{AnnotationEpoch: ""}, AnnotationEpoch + " is missing"},
		"no repository":      {map[string]string{AnnotationRepository: ""}, AnnotationRepository + " is missing"},
		"no ref":             {map[string]string{AnnotationRef: ""}, AnnotationRef + " is missing"},
		"no revision":        {map[string]string{ocispec.AnnotationRevision: ""}, "revision is missing"},
		"odd repository":     {map[string]string{AnnotationRepository: "r.example.com/a:tag"}, AnnotationRepository},
		"odd time":           {map[string]string{ocispec.AnnotationCreated: "yesterday"}, "is no time"},
		"very long revision": {map[string]string{ocispec.AnnotationRevision: strings.Repeat("x", 5000)}, "longer than 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			annotations := exampleStatement().Annotations()
			maps.Copy(annotations, c.edits)
			_, err := ParseStatement(annotations)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestParseStatementOfOthers(t *testing.T) {
	s, err := ParseStatement(map[string]string{ocispec.AnnotationRevision: "main@sha1:aa", ocispec.AnnotationCreated: "yesterday"})
	if err != nil || s != (Statement{Revision: "main@sha1:aa"}) {
		t.Fatal(s, err)
	}
	for _, key := range []string{AnnotationSequence, "Dev.Sealift.sequence"} {
		if _, err := ParseStatement(map[string]string{key: "7"}); err == nil {
			t.Errorf("%s alone was accepted", key)
		}
	}
}

func TestPackIsDeterministic(t *testing.T) {
	objs := parse(t, twoObjects)
	first, err := Pack(exampleStatement(), map[string][]*unstructured.Unstructured{"prod": objs, "staging": objs[:1]})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		again, err := Pack(exampleStatement(), map[string][]*unstructured.Unstructured{"staging": objs[:1], "prod": {objs[1], objs[0]}})
		if err != nil || again.Digest() != first.Digest() {
			t.Fatal(again.Digest(), first.Digest(), err)
		}
	}
	other := exampleStatement()
	other.Sequence++
	if changed, err := Pack(other, map[string][]*unstructured.Unstructured{"prod": objs}); err != nil || changed.Digest() == first.Digest() {
		t.Fatal(changed, err)
	}
}

func TestPackReadsBack(t *testing.T) {
	p, err := Pack(exampleStatement(), map[string][]*unstructured.Unstructured{"prod": parse(t, twoObjects)})
	if err != nil {
		t.Fatal(err)
	}
	files, err := Unpack(bytes.NewReader(p.Layer), DefaultLimits())
	if err != nil || len(files) != 1 || files[0].Path != "prod/objects.yaml" {
		t.Fatal(files, err)
	}
	objs, err := objects.Decode(files, objects.DefaultLimits())
	if err != nil || len(objs) != 2 || objs[0].GetKind() != "Service" {
		t.Fatal(objs, err)
	}
	var config Config
	if err := json.Unmarshal(p.Config, &config); err != nil || !reflect.DeepEqual(config, p.Contents) {
		t.Fatal(config, err)
	}
	want := []Image{{Name: "r:5000/shop", Tag: "1.0", Digest: "sha256:aa"}, {Name: "r:5000/side"}}
	if !reflect.DeepEqual(config.Images, want) || config.Environments[0].Objects != 2 {
		t.Fatal(config)
	}
}

func TestPackRefuses(t *testing.T) {
	objs := parse(t, twoObjects)
	for name, c := range map[string]struct {
		edit         func(*Statement)
		environments map[string][]*unstructured.Unstructured
		want         string
	}{
		"nothing":           {nil, nil, "at least one environment"},
		"empty environment": {nil, map[string][]*unstructured.Unstructured{"prod": {}}, "environment prod: it holds no objects"},
		"path as name":      {nil, map[string][]*unstructured.Unstructured{"../prod": objs}, "not a name for an environment"},
		"duplicate":         {nil, map[string][]*unstructured.Unstructured{"prod": {objs[0], objs[0]}}, "is there twice"},
		"no sequence":       {func(s *Statement) { s.Sequence = 0 }, map[string][]*unstructured.Unstructured{"prod": objs}, AnnotationSequence},
	} {
		t.Run(name, func(t *testing.T) {
			s := exampleStatement()
			if c.edit != nil {
				c.edit(&s)
			}
			_, err := Pack(s, c.environments)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}
