package strict

import (
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
