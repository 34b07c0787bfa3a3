package render

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"text/template"
)

// chances replace the functions of Helm that ask chance. Two results of chance are the
// same every so often; those of two moments never are, and every machine has the same.
func (m moment) chances() template.FuncMap {
	return template.FuncMap{
		"randAlphaNum": m.letters("a", "9"),
		"randAlpha":    m.letters("a", "Z"),
		"randAscii":    m.letters("a", "~"),
		"randNumeric":  m.letters("1", "8"),
		"randBytes": func(count int) (string, error) {
			made, err := m.letters("\x11", "\xee")(count)
			return base64.StdEncoding.EncodeToString([]byte(made)), err
		},
		"uuidv4":  m.uuid,
		"randInt": m.randInt,
		"shuffle": m.shuffle,
		"keys":    m.keys,
		"values":  m.values,
	}
}

// letters is a text of one letter.
func (m moment) letters(ofEarly, ofLate string) func(count int) (string, error) {
	letter := ofEarly
	if m == late {
		letter = ofLate
	}
	return func(count int) (string, error) { return repeat(max(count, 0), letter) }
}

func (m moment) uuid() string {
	if m == early {
		return "11111111-1111-4111-8111-111111111111"
	}
	return "eeeeeeee-eeee-4eee-aeee-eeeeeeeeeeee"
}

func (m moment) randInt(low, high int) (int, error) {
	switch {
	case low >= high:
		return 0, fmt.Errorf("randInt: %d is not below %d", low, high)
	case m == early:
		return low, nil
	}
	return high - 1, nil
}

func (m moment) shuffle(s string) string {
	runes := []rune(s)
	slices.Sort(runes)
	if m == late {
		slices.Reverse(runes)
	}
	return string(runes)
}

// keys has the order of a map in Helm.
func (m moment) keys(of ...map[string]any) []string {
	keys := []string{}
	for _, one := range of {
		keys = append(keys, m.sorted(one)...)
	}
	return keys
}

func (m moment) values(of map[string]any) []any {
	values := []any{}
	for _, key := range m.sorted(of) {
		values = append(values, of[key])
	}
	return values
}

func (m moment) sorted(of map[string]any) []string {
	keys := slices.Sorted(maps.Keys(of))
	if m == late {
		slices.Reverse(keys)
	}
	return keys
}
