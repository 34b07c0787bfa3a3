package condition_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sealift.dev/internal/condition"
)

// predicate is a SLSA provenance, cut short.
const predicate = `{
	"buildDefinition": {"buildType": "https://example.com/build/v1", "externalParameters": {"ref": "refs/heads/main"},
		"resolvedDependencies": [{"uri": "git+https://github.com/acme/deploy", "digest": {"gitCommit": "abc"}}]},
	"runDetails": {"builder": {"id": "https://github.com/actions/runner"}, "metadata": {"finishedOn": "2026-01-02T03:04:05Z"}},
	"result": "PASSED", "findings": 3, "score": 7.5, "ok": true, "word": "yes", "none": null
}`

func input(t testing.TB, text string) condition.Input {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return condition.Input{
		"predicate": value,
		"release":   map[string]any{"repository": "registry.example.com/deploy/shop", "sequence": int64(7), "revision": "main@sha1:abc"},
		"signer":    map[string]any{"authority": "ci", "issuer": "https://token.example.com", "subject": "robot@example.com"},
	}
}

func TestEval(t *testing.T) {
	tests := []struct {
		expression string
		want       bool
		problem    string
	}{
		{`true`, true, ""},
		{`predicate.result == "PASSED"`, true, ""},
		{`predicate.result == "FAILED"`, false, ""},
		{`predicate.ok`, true, ""},
		{`predicate.findings == 3 && predicate.findings < 4 && predicate.findings + 1 == 4`, true, ""},
		{`predicate.score > 7 && predicate.score < 8.0`, true, ""},
		{`predicate.runDetails.builder.id.startsWith("https://github.com/")`, true, ""},
		{`predicate.buildDefinition.resolvedDependencies.exists(d, d.uri == "git+https://github.com/acme/deploy")`, true, ""},
		{`predicate.buildDefinition.resolvedDependencies.all(d, "sha" + d.digest.gitCommit in ["x"])`, false, ""},
		{`timestamp(predicate.runDetails.metadata.finishedOn) > timestamp("2026-01-01T00:00:00Z")`, true, ""},
		{`release.sequence >= 7 && release.repository.endsWith("/shop") && "main@sha1:abc" == release["revision"]`, true, ""},
		{`signer.authority == "ci" && signer.issuer.matches("^https://token[.]example[.]com$")`, true, ""},
		{`release.revision.matches('^main@sha1:[0-9a-f]{3,40}$') && matches(predicate.word, "^[a-z]{3}$") && !predicate.word.matches("^[a-z]{4}$")`, true, ""},
		{`has(predicate.missing) ? false : true`, true, ""},
		{`predicate.none == null`, true, ""},
		{`predicate.result.lowerAscii().split("s").size() == 3 && sets.contains(["a", "b"], ["a"])`, true, ""},
		{`predicate.missing.field == 1`, false, "no such key: missing"},
		{`predicate.word`, false, "of type string, not true or false"},
		{`predicate.findings / 0 == 1`, false, "division by zero"},
		{`has(release.epoch) && release.epoch == 1`, false, ""},
		{`release.epoch == 1`, false, "no such key: epoch"},
	}
	for _, test := range tests {
		program, err := condition.Compile(test.expression, condition.Attestation())
		if err != nil {
			t.Errorf("%s: %v", test.expression, err)
			continue
		}
		got, err := program.Eval(t.Context(), input(t, predicate))
		if got != test.want {
			t.Errorf("%s: %v, want %v", test.expression, got, test.want)
		}
		switch {
		case test.problem == "" && err != nil:
			t.Errorf("%s: %v", test.expression, err)
		case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem) || !strings.Contains(err.Error(), "condition")):
			t.Errorf("%s: error %v, want one with %q that names the condition", test.expression, err, test.problem)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	many := "[" + strings.Repeat("1,", 60) + "1]"
	tests := []struct{ name, expression, want string }{
		{"nothing", " \n", "is empty"},
		{"syntax", `predicate.`, "line 1"},
		{"another type", `predicate.result + "x"`, "is of type"},
		{"a string", `"yes"`, "is of type string, not bool"},
		{"unknown variable", `attestation.x == 1`, "undeclared reference to 'attestation'"},
		{"unknown function", `http.get("https://example.com") == ""`, "undeclared reference"},
		{"no clock", `now() > timestamp("2026-01-01T00:00:00Z")`, "undeclared reference to 'now'"},
		{"unknown field of release", `release.reposiory == "x"`, `release has no field "reposiory"`},
		{"unknown index of signer", `signer["email"] == "x"`, `signer has no field "email"`},
		{"bad time", `timestamp("yesterday") > timestamp("2026-01-01T00:00:00Z")`, "timestamp"},
		{"bad pattern", `predicate.a.matches("(")`, "invalid matches argument"},
		{"huge pattern", `predicate.a.matches("((a{1,99}){1,9}b){1,99}")`, "invalid matches argument"},
		{"large pattern", `predicate.a.matches("^(?:[a-z]{900}x){1}[0-9]{900}(?:ab|cd){900}$")`, "more than the limit of 4096"},
		{"large pattern, as a function", `matches(predicate.a, "^(?:[a-z]{900}x){1}[0-9]{900}(?:ab|cd){900}$")`, "more than the limit of 4096"},
		{"a stranger's pattern", `"x".matches(predicate.a)`, "has to be written out"},
		{"a pattern of two texts", `predicate.a.matches("^x{2}" + "$")`, "has to be written out"},
		{"growth", `predicate.a.replace("a", predicate.a) == ""`, "replace is not allowed"},
		{"too long", `"` + strings.Repeat("x", 5000) + `" == ""`, "limit of 4096"},
		{"too deep", strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), "recursion"},
		{"too many loops", `[1].all(a, [1].all(b, [1].all(c, [1].all(d, [1].all(e, true)))))`, "nesting"},
		{"too dear in any case", strings.Repeat(many+".map(x, ", 4) + "x" + strings.Repeat(")", 4) + ".size() == 0", "limit of 1000000"},
		{"control characters", "\x1b[31m == 1", `"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := condition.Compile(test.expression, condition.Attestation())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 1000 {
				t.Errorf("not fit to print: %q", err)
			}
		})
	}
}

// TestEvalIsBounded: input that makes an innocent expression costly ends at a
// limit that the error names.
func TestEvalIsBounded(t *testing.T) {
	list := func(n int, element string) string {
		return "[" + strings.Repeat(element+",", n-1) + element + "]"
	}
	long := `"` + strings.Repeat("a", 200_000) + `"`
	tests := []struct{ name, expression, predicate, want string }{
		{"pairs", `predicate.l.all(a, predicate.l.all(b, a == b))`, `{"l": ` + list(3000, "1") + `}`, "costs more than 1000000"},
		{"comparing trees", `predicate.l.all(x, predicate.t == predicate.t)`, `{"l": ` + list(500, "1") + `, "t": ` + list(10_000, "[1]") + `}`, "costs more than 1000000"},
		{"splitting", `predicate.l.all(x, predicate.s.split("").size() > 0)`, `{"l": ` + list(500, "1") + `, "s": ` + long + `}`, "costs more than 1000000"},
		{"joining", `predicate.l.all(x, (predicate.s + predicate.s).size() > 0)`, `{"l": ` + list(500, "1") + `, "s": ` + long + `}`, "costs more than 1000000"},
		{"patterns", `predicate.l.all(x, predicate.s.matches("(a|aa)+$"))`, `{"l": ` + list(500, "1") + `, "s": ` + long + `}`, "costs more than 1000000"},
		{"sets", `sets.equivalent(predicate.l, predicate.l)`, `{"l": ` + list(3000, "1") + `}`, "costs more than 1000000"},
		{"looking in lists", `predicate.l.all(x, !(2 in predicate.l))`, `{"l": ` + list(3000, "1") + `}`, "costs more than 1000000"},
		{"deep", `true`, strings.Repeat("[", 200) + strings.Repeat("]", 200), "100 levels"},
		{"many values", `true`, list(200_000, "1"), "131072 values"},
		{"much text", `true`, list(6, long), "1048576 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			program, err := condition.Compile(test.expression, condition.Attestation())
			if err != nil {
				t.Fatal(err)
			}
			_, err = program.Eval(t.Context(), input(t, test.predicate))
			if !errors.Is(err, condition.ErrLimit) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want a limit with %q", err, test.want)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
		})
	}
}

// Sums of lists cost nothing to make, and much to look at: they are bounded before.
func TestSumsOfListsAreBounded(t *testing.T) {
	sum := "x" + strings.Repeat("+x", 40)
	for want, expression := range map[string]string{
		"":                        `[predicate].map(x, ` + sum + `).all(x, x == x)`,
		"costs more than 1000000": `[predicate].map(x, ` + sum + `).map(x, ` + sum + `).map(x, ` + sum + `).all(x, x == x)`,
	} {
		program, err := condition.Compile(expression, condition.Attestation())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = program.Eval(t.Context(), input(t, "["+strings.Repeat("1,", 99)+"1]"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

func TestEvalEndsWithItsContext(t *testing.T) {
	program, err := condition.Compile(`predicate.all(a, predicate.all(b, a == b))`, condition.Attestation())
	if err != nil {
		t.Fatal(err)
	}
	in := input(t, "["+strings.Repeat("1,", 300)+"1]")
	if ok, err := program.Eval(t.Context(), in); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := program.Eval(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// FuzzCompile looks for expressions that hang or panic; what compiles is evaluated.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"true", `predicate.a.b == 1`, `predicate.all(x, x in [1, 2])`, `release.digest.matches("^sha256:")`, `signer["issuer"] == ""`,
		`[1].map(a, [a + 1]).filter(b, b[0] > 1).size() == 1`, `{"a": predicate}.a.x`, `duration("1h") < duration(predicate.d)`} {
		f.Add(seed)
	}
	in := input(f, predicate)
	f.Fuzz(func(t *testing.T, expression string) {
		program, err := condition.Compile(expression, condition.Attestation())
		if err != nil {
			return
		}
		_, _ = program.Eval(t.Context(), in)
	})
}

// A live object as Kubernetes' unstructured holds it is a variable, too.
func TestObjectScope(t *testing.T) {
	in := condition.Input{"self": map[string]any{"spec": map[string]any{"size": int64(2)}, "status": map[string]any{"ready": 2.0, "phase": "Running"}}}
	for expression, want := range map[string]bool{
		`self.status.ready == self.spec.size`:                 true,
		`self.status.phase in ["Failed"]`:                     false,
		`has(self.status.conditions) && self.status.x == "y"`: false,
	} {
		program, err := condition.Compile(expression, condition.Object())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := program.Eval(t.Context(), in); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", expression, got, err, want)
		}
	}
	for _, foreign := range []string{`predicate.x == 1`, `release.digest == ""`, `object.x == 1`} {
		if _, err := condition.Compile(foreign, condition.Object()); err == nil {
			t.Errorf("%s compiles over an object", foreign)
		}
	}
}
