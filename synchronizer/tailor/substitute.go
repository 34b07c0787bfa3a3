package tailor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

const (
	// maxObject bounds the text of one object with its variables replaced, and
	// maxText that of all; what a release may hold is no more. maxWork bounds what
	// functions look at on the way.
	maxObject = 4 << 20
	maxText   = 16 << 20
	maxWork   = 64 << 20
	// maxNamed is how many variables without a value one error names.
	maxNamed = 20
)

const hintUnknown = "hint: give them values in spec.substitute or substituteFrom, write a default as ${name:-default}, or $${name} for a text that stays as it is"

// substitute replaces variables in the scalars and keys of objs. It never makes
// structure: a value is text, whatever it holds.
func substitute(ctx context.Context, objs []*unstructured.Unstructured, variables map[string]string) ([]*unstructured.Unstructured, error) {
	shapes := newShapes(objs)
	left, work := maxText, maxWork
	var unknown []string
	made := slices.Clone(objs)
	for i, u := range objs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !mentions(u.Object) || disabled(u, "substitute") {
			continue
		}
		s := &substitution{shape: shapes.of(u), variables: variables, left: min(maxObject, left), work: &work}
		before := s.left
		value, err := s.value(nil, u.Object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name(u), err)
		}
		left -= before - s.left
		for _, at := range s.unknown {
			unknown = append(unknown, name(u)+": "+at)
		}
		made[i] = &unstructured.Unstructured{Object: value.(map[string]any)}
		if err := objects.Normalize(made[i]); err != nil && len(unknown) == 0 {
			return nil, fmt.Errorf("%s, with its variables replaced: %w", name(u), err)
		}
	}
	if len(unknown) > 0 {
		return nil, unknownError(unknown)
	}
	return made, objects.Distinct(made)
}

func unknownError(unknown []string) error {
	named := strings.Join(unknown[:min(maxNamed, len(unknown))], "; ")
	if more := len(unknown) - maxNamed; more > 0 {
		named += fmt.Sprintf("; and %d more", more)
	}
	return fmt.Errorf("%s; %s", named, hintUnknown)
}

// mentions says that there is a reference somewhere in value.
func mentions(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.Contains(value, "${")
	case []any:
		return slices.ContainsFunc(value, mentions)
	case map[string]any:
		for key, v := range value {
			if strings.Contains(key, "${") || mentions(v) {
				return true
			}
		}
	}
	return false
}

// substitution is that of one object.
type substitution struct {
	shape     shape
	variables map[string]string
	left      int
	work      *int
	unknown   []string
}

// value is a copy of v, which is at path, with its variables replaced.
func (s *substitution) value(path []string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		return s.scalar(path, v)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			changed, err := s.value(append(path, strconv.Itoa(i)), item)
			if err != nil {
				return nil, err
			}
			list[i] = changed
		}
		return list, nil
	case map[string]any:
		return s.object(path, v)
	}
	return v, nil
}

func (s *substitution) object(path []string, v map[string]any) (any, error) {
	changed := make(map[string]any, len(v))
	for _, key := range slices.Sorted(maps.Keys(v)) {
		below := append(path, key)
		expanded, err := s.expand(below, key)
		if err != nil {
			return nil, err
		}
		if _, twice := changed[expanded.text]; twice {
			return nil, fmt.Errorf("%s: another key has the same name once its variables are replaced", dotted(below))
		}
		if changed[expanded.text], err = s.value(below, v[key]); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// scalar is the text at path with its variables replaced, as what its field holds.
func (s *substitution) scalar(path []string, text string) (any, error) {
	expanded, err := s.expand(path, text)
	if err != nil || !expanded.found {
		return text, err
	}
	if expanded.asText || len(s.unknown) > 0 {
		return expanded.text, nil
	}
	value, err := s.shape.at(path).typed(expanded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dotted(path), err)
	}
	return value, nil
}

func (s *substitution) expand(path []string, text string) (expansion, error) {
	e := &expander{variables: s.variables, unknown: map[string]bool{}, left: s.left, work: s.work}
	expanded, err := e.expand(text)
	if errors.Is(err, errExpression) {
		return expansion{}, fmt.Errorf("%s: %w; hint: write $${ for a text that stays as it is, or annotate the object with sealift.dev/substitute: disabled", dotted(path), err)
	}
	if err != nil {
		return expansion{}, fmt.Errorf("%s: %w", dotted(path), err)
	}
	if s.left -= len(expanded.text); s.left < 0 {
		return expansion{}, errTooLong
	}
	for _, name := range slices.Sorted(maps.Keys(e.unknown)) {
		if len(s.unknown) <= maxNamed {
			s.unknown = append(s.unknown, fmt.Sprintf("%s: the variable %s has no value", dotted(path), name))
		}
	}
	return expanded, nil
}

// dotted is a path for messages.
func dotted(path []string) string { return clipped(strings.Join(path, "."), 256) }

func clipped(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
