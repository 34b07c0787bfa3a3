package edit

import (
	"fmt"
	"strings"
	"testing"

	"sealift.dev/api/v1alpha1"
)

// TestHostileTexts: JSON, TOML and other text made to be slow, with many targets. What takes
// quadratic time does not end before the test's own deadline.
func TestHostileTexts(t *testing.T) {
	const room = MaxBytes - 100
	fill := func(unit string) string { return strings.Repeat(unit, room/len(unit)) }
	number := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < room-20; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for name, test := range map[string]struct {
		path, text string
		edited     bool
	}{
		"JSON keys":        {"a.json", "{" + number(`"k%d":1,`) + `"a":"x"}`, true},
		"JSON items":       {"a.json", `{"a":"x","b":[` + fill("1,") + "1]}", true},
		"JSON escapes":     {"a.json", `{"a":"x","b":"` + fill(`\u0061`) + `"}`, true},
		"JSON lines":       {"a.json", `{"a":"x"` + fill("\n") + `}`, true},
		"JSON brackets":    {"a.json", `{"a":"x","b":` + fill("["), false},
		"JSON objects":     {"a.json", `{"a":"x","b":` + fill(`{"":`), false},
		"TOML keys":        {"a.toml", "a='x'\n" + number("k%d=1\n"), true},
		"TOML tables":      {"a.toml", "a='x'\n" + number("[k%d]\n"), true},
		"TOML sub-tables":  {"a.toml", "a='x'\n" + number("[k.%d.b]\n"), true},
		"TOML arrays":      {"a.toml", "a='x'\n" + fill("[[k]]\n"), true},
		"TOML dotted keys": {"a.toml", "a='x'\n[k]\n" + number("b.%d.c=1\n"), true},
		"TOML items":       {"a.toml", "a='x'\nb=[" + fill("1,") + "]", true},
		"TOML lines":       {"a.toml", "a='x'\nb=[" + fill("\n") + "]", true},
		"TOML comments":    {"a.toml", "a='x'\n" + fill("#\n"), true},
		"TOML deep table":  {"a.toml", "a='x'\n[" + fill("b.") + "b]", false},
		"TOML brackets":    {"a.toml", "a='x'\nb=" + fill("["), false},
		"TOML braces":      {"a.toml", "a='x'\nb=" + fill("{a="), false},
		"TOML quotes":      {"a.toml", "a='x'\nb=" + fill("'"), false},
		"YAML keys":        {"a.yaml", number("k%d: 1\n") + "a: x\n", true},
		"YAML one line":    {"a.yaml", "{" + number("k%d: 1,") + "a: x}\n", true},
		"text":             {"a.txt", fill("v="), false},
	} {
		t.Run(name, func(t *testing.T) {
			var targets []Target
			for i := range 40 {
				target := v1alpha1.Target{Path: "**", Key: []string{"a", "b[0]", fmt.Sprintf("k%d", i), "k[x=y].z"}[i%4], Write: "tag"}
				if strings.HasSuffix(test.path, ".txt") {
					target = v1alpha1.Target{Path: "**", Regexp: fmt.Sprintf(`v=(x?).*%d$`, i)}
				}
				checked, err := NewTarget("a:b", target)
				if err != nil {
					t.Fatal(err)
				}
				targets = append(targets, checked)
			}
			if len(test.text) > MaxBytes {
				t.Fatalf("it has %d bytes", len(test.text))
			}
			f, err := Read(test.path, []byte(test.text), targets)
			if err != nil {
				if test.edited {
					t.Fatal(err)
				}
				return
			}
			values, _ := f.Texts(func(string) (Image, bool) { return shopImage(), true })
			if out, err := f.Set(values); err != nil || (string(out) != test.text) != test.edited {
				t.Errorf("%v", err)
			}
		})
	}
	var targets []Target
	for range maxTargets + 1 {
		target, err := NewTarget("a:b", v1alpha1.Target{Path: "**", Key: "a"})
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	if _, err := Read("a.json", []byte("{}"), targets); err == nil || !strings.Contains(err.Error(), "more than 1000 targets") {
		t.Errorf("targets: %v", err)
	}
	if _, err := Read("a.json", []byte("{}"), targets[1:]); err != nil {
		t.Errorf("the benign twin: %v", err)
	}
}
