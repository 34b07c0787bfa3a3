package crd

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const boats = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"boats.example.com"},
"spec":{"group":"example.com","scope":"Namespaced","names":{"kind":"Boat","plural":"boats"},"versions":[
{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","required":["spec"],"properties":{"spec":{"type":"object",
"required":["length","hull"],
"x-kubernetes-validations":[{"rule":"self.crew <= self.length","message":"too many people"}],
"properties":{"length":{"type":"integer","maximum":400},"crew":{"type":"integer","default":1},"hull":{"type":"string","enum":["wood","steel"]},
"ports":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}},
"free":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}}}}},
{"name":"v2","served":false,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`

func TestCheck(t *testing.T) {
	d, err := Parse([]byte(boats))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, spec, wrong string }{
		{"good", `{"length":12,"hull":"wood","crew":3,"ports":["a","b"],"free":{"any":"thing"}}`, ""},
		{"a default is there", `{"length":1,"hull":"wood"}`, ""},
		{"wrong type", `{"length":"long","hull":"wood"}`, "spec.length"},
		{"missing", `{"length":1}`, "spec.hull: Required"},
		{"not in the list", `{"length":1,"hull":"paper"}`, "spec.hull: Unsupported value"},
		{"too large", `{"length":401,"hull":"wood"}`, "spec.length: Invalid value: 401"},
		{"unknown", `{"length":1,"hull":"wood","sail":true}`, `unknown field "spec.sail"`},
		{"rule", `{"length":1,"hull":"wood","crew":2}`, "too many people"},
		{"twice", `{"length":1,"hull":"wood","ports":["a","a"]}`, "spec.ports[1]: Duplicate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			known, err := d.Check(t.Context(), []byte(`{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"b"},"spec":`+test.spec+`}`))
			if !known || (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("known %v, %v", known, err)
			}
			if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
				t.Errorf("%v is no API error", err)
			}
		})
	}
	if known, err := d.Check(t.Context(), []byte(`{"apiVersion":"example.com/v2","kind":"Boat","metadata":{"name":"b"}}`)); known || err != nil {
		t.Errorf("a version that is not served: %v, %v", known, err)
	}
	reporting := strings.NewReplacer(`"storage":true,`, `"storage":true,"subresources":{"status":{}},`,
		`"properties":{"spec":`, `"properties":{"status":{"type":"object","required":["phase"]},"spec":`)
	for text, fits := range map[string]bool{reporting.Replace(boats): true, strings.Replace(reporting.Replace(boats), `"subresources":{"status":{}},`, "", 1): false} {
		d, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Check(t.Context(), []byte(`{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"b"},"spec":{"length":1,"hull":"wood"},"status":{}}`))
		if (err == nil) != fits {
			t.Errorf("a status that does not fit: %v", err)
		}
	}
	if _, err := Parse([]byte(strings.Replace(boats, `"crew":{"type":"integer"`, `"crew":{"type":"integer","$ref":"x"`, 1))); err == nil {
		t.Error("a schema with a reference is taken")
	}
}
