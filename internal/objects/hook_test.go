package objects

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

// TestHooksAreNamed: a hook with generateName has a name that depends on what it is
// and on nothing else.
func TestHooksAreNamed(t *testing.T) {
	hook := func(metadata, more string) string {
		t.Helper()
		found, err := decode(t, File{"f.yaml", []byte(fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {%s, annotations: {argocd.argoproj.io/hook: PreSync}}\n%s", metadata, more))})
		if err != nil {
			t.Fatal(err)
		}
		if _, left := found[0].Object["metadata"].(map[string]any)["generateName"]; left {
			t.Error("generateName is still there")
		}
		return found[0].GetName()
	}
	short := hook("generateName: migrate-", "spec: {a: 1}")
	if !strings.HasPrefix(short, "migrate-") || len(short) != len("migrate-")+nameDigits {
		t.Errorf("the name is %q", short)
	}
	if again := hook("generateName: migrate-, uid: x", "spec: {a: 1}\nstatus: {b: 2}"); again != short {
		t.Errorf("what a cluster writes changes the name: %q instead of %q", again, short)
	}
	if other := hook("generateName: migrate-", "spec: {a: 2}"); other == short {
		t.Error("another hook has the same name")
	}
	if long := hook("generateName: "+strings.Repeat("x", 200)+"-", ""); len(validation.IsDNS1123Label(long)) > 0 {
		t.Errorf("%q is no DNS label", long)
	}
	if given := hook("generateName: migrate-, name: given", ""); given != "given" {
		t.Errorf("the name given becomes %q", given)
	}
}
