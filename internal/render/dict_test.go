package render

import (
	"errors"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// A dict inside itself would end the process when it is printed.
func TestDictInItself(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		err        error
	}{
		"set in itself":           {`{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ toString $d }}`, "", errCycle},
		"set below itself":        {`{{ $d := dict }}{{ $_ := set $d "a" (dict "b" (list 1 $d)) }}{{ toString $d }}`, "", errCycle},
		"set in what it holds":    {`{{ $e := dict }}{{ $d := dict "e" $e }}{{ $_ := set $e "d" $d }}{{ toString $d }}`, "", errCycle},
		"set twice is no cycle":   {`{{ $e := dict "x" 1 }}{{ $d := dict }}{{ $_ := set $d "a" $e }}{{ $_ := set $d "b" $e }}{{ toString $d }}`, "map[a:map[x:1] b:map[x:1]]", nil},
		"merged into itself":      {`{{ $d := dict }}{{ $_ := merge $d (dict "a" $d) }}{{ toString $d }}`, "", errCycle},
		"overwritten with itself": {`{{ $d := dict "a" 1 }}{{ $_ := mustMergeOverwrite $d (dict "a" $d) }}{{ toString $d }}`, "", errCycle},
		"merged":                  {`{{ merge (dict "a" 1) (dict "a" 2 "b" 3) | toString }}`, "map[a:1 b:3]", nil},
		"overwritten":             {`{{ mustMergeOverwrite (dict "a" 1) (dict "a" 2 "b" 3) | toString }}`, "map[a:2 b:3]", nil},
	} {
		var out strings.Builder
		parsed := template.Must(template.New(name).Funcs(sprig.TxtFuncMap()).Funcs(functions(early)).Parse(c.text))
		if err := parsed.Execute(&out, nil); !errors.Is(err, c.err) || c.err == nil && out.String() != c.want {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
}
