package automator

import (
	"fmt"
	"strings"
	"testing"
)

func TestValueOfAnotherSpelling(t *testing.T) {
	for name, test := range map[string]struct{ repo, marker, old, want, reason string }{
		"same":                   {"nginx", "", "nginx:1.8.0", "nginx:1.9.0", ""},
		"long spelling":          {"nginx", "", "docker.io/library/nginx:1.8.0", "docker.io/library/nginx:1.9.0", ""},
		"longer spelling":        {"nginx", "", "index.docker.io/library/nginx:1.8.0", "index.docker.io/library/nginx:1.9.0", ""},
		"short spelling":         {"docker.io/library/nginx", "", "nginx:1.8.0", "nginx:1.9.0", ""},
		"port":                   {"localhost:5000/a", "", "localhost:5000/a:1.8.0", "localhost:5000/a:1.9.0", ""},
		"upper case host":        {"r.example.com/a", "", "R.example.com/a:1.8.0", "R.example.com/a:1.9.0", ""},
		"no downgrade":           {"nginx", "", "docker.io/library/nginx:2.0.0", "", "downgrades are not made"},
		"another repository":     {"nginx", "", "fork/nginx:1.8.0", "", "of another repository than nginx"},
		"another registry":       {"nginx", "", "quay.io/library/nginx:1.8.0", "", "of another repository than nginx"},
		"no reference":           {"nginx", "", "NGINX:1.8.0", "", "of another repository than nginx"},
		"no tag":                 {"nginx", "", "nginx", "", "no tag to compare with"},
		"no tag, port":           {"localhost:5000/a", "", "localhost:5000/a", "", "no tag to compare with"},
		"latest":                 {"nginx", "", "nginx:latest", "", `"latest" is no version`},
		"branch":                 {"nginx", "", "nginx:release-2.0.0", "", `"release-2.0.0" is no version`},
		"four parts":             {"nginx", "", "nginx:2.1.0.4", "", `"2.1.0.4" is no version`},
		"pinned":                 {"nginx", "", "nginx:1.8.0@sha256:x", "", "pinned by digest"},
		"tag":                    {"nginx", ":tag", "1.8.0", "1.9.0", ""},
		"tag latest":             {"nginx", ":tag", "latest", "", `"latest" is no version`},
		"tag four parts":         {"nginx", ":tag", "2.1.0.4", "", `"2.1.0.4" is no version`},
		"name keeps its letters": {"nginx", ":name", "docker.io/library/nginx", "docker.io/library/nginx", ""},
		"another name":           {"nginx", ":name", "fork/nginx", "nginx", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := newCandidates("*")
			if err != nil {
				t.Fatal(err)
			}
			c.offer("1.9.0")
			p := &plan{marked: map[string]bool{}}
			f := fileEdit{plan: p, name: "x.yaml", policies: map[string]policy{"a:b": {repo: test.repo, candidates: c}}}
			text := "image: %s # {\"$imagepolicy\": \"a:b" + test.marker + "\"}\n"
			want := test.want
			if want == "" {
				want = test.old
			}
			out, _, err := editFile(fmt.Appendf(nil, text, test.old), f.decide)
			if err != nil || string(out) != fmt.Sprintf(text, want) {
				t.Errorf("got %q, %v", out, err)
			}
			notes := fmt.Sprint(f.notes)
			if !strings.Contains(notes, test.reason) || test.reason == "" && len(f.notes) > 0 {
				t.Errorf("notes %s, want %q", notes, test.reason)
			}
		})
	}
}

func TestOneDocument(t *testing.T) {
	good := configFor("localhost/apps/shop", "*")
	for _, text := range []string{good, "---\n" + good, "# about\n---\n" + good + "...\n"} {
		if _, err := parseConfig([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{good + "---\n" + good, good + "---\n{}\n", "{}\n---\n" + good, good + "--- \nx: y"} {
		if _, err := parseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), "has 2 YAML documents; hint:") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
