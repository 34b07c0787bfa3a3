package compare

import (
	"fmt"
	"strconv"
	"strings"
)

// shortest is how long a value is at least that is looked for within others: what is
// shorter stands in many texts that tell nothing.
const shortest = 4

// Mask hides values that came from Secrets and stand in other objects. The zero Mask
// hides nothing.
type Mask struct {
	whole         map[string]bool
	values, texts *strings.Replacer
}

// NewMask hides values in fields and texts, and texts in texts only.
func NewMask(values, texts []string) Mask {
	m := Mask{whole: map[string]bool{}}
	var pairs []string
	hide := func(value string) {
		if len(value) < shortest {
			return
		}
		pairs = append(pairs, value, Masked)
		if quoted := strings.Trim(strconv.Quote(value), `"`); quoted != value {
			pairs = append(pairs, quoted, Masked) // as messages have it
		}
	}
	for _, value := range values {
		if value != "" {
			m.whole[value] = true
			hide(value)
		}
	}
	m.values = strings.NewReplacer(pairs...)
	for _, text := range texts {
		hide(text)
	}
	m.texts = strings.NewReplacer(pairs...)
	return m
}

// Text is s without the values.
func (m Mask) Text(s string) string {
	if m.texts == nil {
		return s
	}
	return m.texts.Replace(s)
}

// Error is err in words without the values; errors.Is and errors.As find in it what they
// find in err.
func (m Mask) Error(err error) error {
	if err == nil {
		return nil
	}
	if words := m.Text(err.Error()); words != err.Error() {
		return maskedError{err, words}
	}
	return err
}

type maskedError struct {
	error
	words string
}

func (e maskedError) Error() string { return e.words }
func (e maskedError) Unwrap() error { return e.error }

// fields hides the values in both states of a field: where one of them has such a
// value, the other had or gets one.
func (m Mask) fields(all []Field) []Field {
	if len(m.whole) == 0 {
		return all
	}
	for i, f := range all {
		before, after := m.value(f.Old), m.value(f.New)
		if before == Masked || after == Masked {
			before, after = masked(f.Old), masked(f.New)
		}
		all[i] = Field{Path: m.values.Replace(f.Path), Old: before, New: after}
	}
	return all
}

// value is a copy of v with (masked) for each scalar that holds a value.
func (m Mask) value(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = m.value(item)
		}
		return list
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, item := range v {
			copied[m.values.Replace(key)] = m.value(item)
		}
		return copied
	case string:
		if m.whole[v] || m.values.Replace(v) != v {
			return Masked
		}
		return v
	default:
		if m.whole[fmt.Sprint(v)] {
			return Masked
		}
		return v
	}
}
