package render

import (
	"fmt"
	"reflect"
	"strings"
	"text/template"

	"sealift.dev/internal/objects"
)

// maxText bounds a text that a function makes of two, at once: so much memory that the
// machine does not have it ends the process, before anybody can see it grow.
const maxText = 64 << 20

// textFunctions replace the functions of Helm that multiply one text by another.
func textFunctions() template.FuncMap {
	return template.FuncMap{"replace": replace, "join": join}
}

func replace(old, with, in string) (string, error) {
	grown := int64(strings.Count(in, old)) * int64(max(0, len(with)-len(old)))
	if grown > maxText {
		return "", tooMuch("replace")
	}
	return strings.ReplaceAll(in, old, with), nil
}

func join(separator string, of any) (string, error) {
	parts := joined(of)
	total := int64(len(separator)) * int64(len(parts))
	for _, part := range parts {
		total += int64(len(part))
	}
	if total > maxText {
		return "", tooMuch("join")
	}
	return strings.Join(parts, separator), nil
}

func tooMuch(function string) error {
	return fmt.Errorf("%s: it makes more than %d bytes: %w", function, maxText, objects.ErrLimit)
}

// joined is each element of a list as a text, without those that are nil; of anything
// else, that alone.
func joined(of any) []string {
	if of == nil {
		return nil
	}
	list := reflect.ValueOf(of)
	if kind := list.Kind(); kind != reflect.Slice && kind != reflect.Array {
		return []string{inText(of)}
	}
	var parts []string
	for i := range list.Len() {
		if element := list.Index(i).Interface(); element != nil {
			parts = append(parts, inText(element))
		}
	}
	return parts
}

// inText is what Helm writes for a value.
func inText(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []byte:
		return string(value)
	}
	return fmt.Sprint(value)
}
