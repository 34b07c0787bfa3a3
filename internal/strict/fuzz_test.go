package strict

import (
	"reflect"
	"testing"

	kjson "sigs.k8s.io/json"
)

// FuzzUnmarshal: a reader that tells keys apart by case sees the same values.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		`{"mediaType":"a","layers":[{"size":1}],"annotations":{"k":"v","K":"w"}}`, `{"layers":null,"subject":{"size":2},"x":[{},[1e2,-0.0,"\ud800"]]}`,
		`{"mediaType":"a","media\u0054ype":"b"}`, `{"SIZE":1,"subject":{"ſize":1}}`, `{"annotations":{"a":null}}`, "{\"x\":\"\xff\"} ", `[]`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, theirs document
		if Unmarshal(data, &ours) != nil {
			return
		}
		problems, err := kjson.UnmarshalStrict(data, &theirs, kjson.DisallowDuplicateFields)
		if err != nil || len(problems) > 0 || !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("another reader sees %+v (%v, %v), and we %+v", theirs, err, problems, ours)
		}
	})
}
