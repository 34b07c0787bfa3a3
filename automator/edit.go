package automator

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// editFile replaces marked values of one YAML file, byte for byte: only the bytes
// of the scalars for which decide returns another value change. decide returns
// one value per scalar, empty to leave it alone. Nothing is returned that does
// not parse to the same tree but for those values.
func editFile(data []byte, decide func([]scalar) []string) ([]byte, []scalar, error) {
	scalars, before, err := locate(data)
	if err != nil {
		return nil, nil, err
	}
	var out []byte
	var changed []scalar
	want := map[int]string{}
	at := 0
	for i, value := range decide(scalars) {
		s := scalars[i]
		if s.problem != "" || value == s.value || value == "" {
			continue
		}
		if s.start < at {
			return nil, nil, fmt.Errorf("line %d: marked values overlap", s.line)
		}
		text, err := spell(value, s.quote)
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", s.line, err)
		}
		out = append(append(out, data[at:s.start]...), text...)
		at = s.end
		want[s.node] = value
		changed = append(changed, s)
	}
	if len(changed) == 0 {
		return data, nil, nil
	}
	out = append(out, data[at:]...)
	return out, changed, proveEdit(before, out, want)
}

// spell writes a value between its old quotes. A plain value that YAML 1.1
// would take for something else than text gets quotes.
func spell(value string, quote byte) (string, error) {
	for _, r := range value {
		if !isReferenceRune(r) {
			return "", fmt.Errorf("%q is no part of an image reference", value)
		}
	}
	if quote != 0 {
		return string(quote) + value + string(quote), nil
	}
	// The encoder quotes what YAML 1.1 would not read as text.
	plain, err := yaml.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("writing %q: %w", value, err)
	}
	if string(plain) == value+"\n" {
		return value, nil
	}
	return `"` + value + `"`, nil
}

func isReferenceRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	}
	return r == '.' || r == '_' || r == '-' || r == ':' || r == '/' || r == '@'
}

var errOther = errors.New("the edit would change more than the marked values")

// proveEdit proves that after is before with the wanted values, and nothing else.
func proveEdit(before []flat, after []byte, want map[int]string) error {
	nodes, err := flatten(after)
	if err != nil {
		return fmt.Errorf("after the edit: %w", err)
	}
	if len(nodes) != len(before) {
		return errOther
	}
	for i, n := range nodes {
		old := before[i]
		if n.Kind != old.Kind || n.Anchor != old.Anchor || n.Line != old.Line ||
			n.HeadComment != old.HeadComment || n.LineComment != old.LineComment || n.FootComment != old.FootComment {
			return fmt.Errorf("line %d: %w", old.Line, errOther)
		}
		if value, ok := want[i]; ok {
			if n.Value != value || n.ShortTag() != "!!str" {
				return fmt.Errorf("line %d: %w", old.Line, errOther)
			}
			continue
		}
		if n.Value != old.Value || n.Tag != old.Tag || n.Style != old.Style {
			return fmt.Errorf("line %d: %w", old.Line, errOther)
		}
	}
	return nil
}
