package gate

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/hold"
	"sealift.dev/verify/policy"
)

// TestExamples reads what docs/automation.md shows, and wants every gate in its table.
func TestExamples(t *testing.T) {
	page := string(must(os.ReadFile("../../docs/automation.md")))
	_, text, _ := strings.Cut(page, "\n## Gates\n")
	gates, rest, _ := strings.Cut(text, "\n## Holds\n")
	holds, _, _ := strings.Cut(rest, "\n## ")
	for _, g := range []Gate{List, Held, Downgrade, Time, Age, Exists, Platform, Signature, Moved, Budget} {
		if !strings.Contains(gates, "\n| `"+string(g)+"` | ") {
			t.Errorf("the table lacks %s", g)
		}
	}
	examples := 0
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(gates+holds, -1) {
		examples++
		var images []v1alpha1.Image
		switch {
		case strings.Contains(block[1], "kind: TrustPolicy"):
			if policies, err := policy.Parse([]byte(block[1])); err != nil || len(policies) != 1 {
				t.Errorf("%v in\n%s", err, block[1])
			}
		case strings.Contains(block[1], "kind: ImageHolds"):
			if f, err := hold.Parse([]byte(block[1])); err != nil || len(f.Holds) != 1 || len(f.Releases) != 1 {
				t.Errorf("%+v, %v in\n%s", f, err, block[1])
			}
		default:
			if err := yaml.UnmarshalStrict([]byte(block[1]), &images); err != nil || len(images) != 1 {
				t.Fatalf("%v in\n%s", err, block[1])
			}
			w := images[0].Window
			if _, err := NewWindow(w.Days, w.From, w.To, w.TimeZone); err != nil {
				t.Error(err)
			}
		}
	}
	if examples != 3 {
		t.Errorf("%d examples", examples)
	}
}
