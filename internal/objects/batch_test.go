package objects

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Documents are read several at once; where each begins, and which error comes
// first, is as if they were read in turn.
func TestDocumentsInBatches(t *testing.T) {
	var text strings.Builder
	wide := strings.Repeat("x", batchBytes)
	for i := range 3 * batchChunks {
		value := fmt.Sprint(i)
		if i%100 == 50 {
			value = wide
		}
		fmt.Fprintf(&text, "---\nkind: ConfigMap\nname: a%d\nvalue: %q\n", i, value)
	}
	f := File{Path: "a.yaml", Data: []byte(text.String())}
	for _, processors := range []int{1, 4} {
		before := runtime.GOMAXPROCS(processors)
		documents, err := Documents(f, DefaultLimits())
		bad := File{Path: "a.yaml", Data: append(append([]byte{}, f.Data...), "---\na: [\n---\nb: }\n"...)}
		_, problem := Documents(bad, DefaultLimits())
		runtime.GOMAXPROCS(before)
		if err != nil || len(documents) != 3*batchChunks {
			t.Fatalf("%d documents, %v", len(documents), err)
		}
		for i, d := range documents {
			if want := fmt.Sprintf(`"name":"a%d"`, i); d.Line != 4*i+2 || !strings.Contains(string(d.JSON), want) {
				t.Fatalf("document %d begins on line %d: %.60s", i, d.Line, d.JSON)
			}
		}
		if want := fmt.Sprintf(`"a.yaml" line %d`, 4*3*batchChunks+2); problem == nil || !strings.HasPrefix(problem.Error(), want) {
			t.Errorf("the error is %v, not one at %s", problem, want)
		}
	}
}

func TestInParallel(t *testing.T) {
	done := make([]int, 1000)
	inParallel(len(done), func(i int) { done[i]++ })
	for i, n := range done {
		if n != 1 {
			t.Fatalf("%d was called %d times", i, n)
		}
	}
	defer func() {
		if r := recover(); r != "seven" {
			t.Errorf("recovered %v", r)
		}
	}()
	inParallel(10, func(i int) {
		if i == 7 {
			panic("seven")
		}
	})
}
