package strict

import (
	"errors"
	"strings"
	"testing"
)

type layer struct {
	Size int `json:"size"`
}

type document struct {
	MediaType   string            `json:"mediaType"`
	Layers      []layer           `json:"layers"`
	Subject     *layer            `json:"subject"`
	Annotations map[string]string `json:"annotations"`
}

func TestUnmarshal(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"plain":                   {`{"mediaType":"a","layers":[{"size":1}],"annotations":{"k":"v","K":"w"}}`, ""},
		"unknown key":             {`{"other":{"size":[1,{"Size":2}]}}`, ""},
		"duplicate":               {`{"mediaType":"a","mediaType":"b"}`, `"mediaType" is there twice`},
		"duplicate by escape":     {`{"mediaType":"a","media\u0054ype":"b"}`, `"mediaType" is there twice`},
		"duplicate far down":      {`{"layers":[{"size":1,"size":2}]}`, `"size" is there twice`},
		"duplicate, unknown":      {`{"x":{"a":1,"a":2}}`, `"a" is there twice`},
		"duplicate annotation":    {`{"annotations":{"k":"v","k":"w"}}`, `"k" is there twice`},
		"case":                    {`{"MediaType":"a"}`, "in case only"},
		"case far down":           {`{"subject":{"SIZE":1}}`, "in case only"},
		"case by Unicode folding": {`{"ſize":1,"layers":[{"ſize":1}]}`, "in case only"},
		"trailing value":          {`{} {}`, "bytes follow"},
		"trailing bytes":          {`{}x`, "bytes follow"},
		"truncated":               {`{"layers":[{"size":1}`, "unexpected EOF"},
		"empty":                   {``, "unexpected EOF"},
		"deep, allowed":           {`{"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`, ""},
		"too deep":                {`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "100 levels"},
		"very deep":               {strings.Repeat("[", 1<<20), "100 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			var d document
			err := Unmarshal([]byte(c.data), &d)
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestElements: what becomes a slice of structs takes a hundred times its JSON.
func TestElements(t *testing.T) {
	var structs struct{ List []struct{ A, B string } }
	var pointers struct{ List []*struct{ A string } }
	var values struct{ List any }
	for _, element := range []string{"{}", "0"} {
		for _, into := range []any{&structs, &pointers} {
			data := `{"List":[` + strings.Repeat(element+",", MaxElements) + element + `]}`
			if err := Unmarshal([]byte(data), into); !errors.Is(err, ErrElements) {
				t.Errorf("%s in %T: %v", element, into, err)
			}
			if err := Unmarshal([]byte(data), &values); err != nil {
				t.Error(err)
			}
		}
	}
	data := `{"List":[` + strings.Repeat("{},", MaxElements-1) + `{}]}`
	if err := Unmarshal([]byte(data), &structs); err != nil || len(structs.List) != MaxElements {
		t.Error(len(structs.List), err)
	}
}
