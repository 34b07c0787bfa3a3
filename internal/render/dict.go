package render

import (
	"errors"
	"reflect"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// errCycle is a value that would be printed without end, which no one can stop.
var errCycle = errors.New("the dict holds itself, directly or below")

// dictFunctions are those that change a dict: the only ones that can put it into itself.
func dictFunctions() template.FuncMap {
	all := template.FuncMap{"set": setKey}
	theirs := sprig.TxtFuncMap()
	for _, name := range []string{"merge", "mergeOverwrite"} {
		if merge, ok := theirs[name].(func(map[string]any, ...map[string]any) any); ok {
			all[name] = func(into map[string]any, from ...map[string]any) (any, error) {
				return merge(into, from...), acyclic(into)
			}
		}
	}
	for _, name := range []string{"mustMerge", "mustMergeOverwrite"} {
		if merge, ok := theirs[name].(func(map[string]any, ...map[string]any) (any, error)); ok {
			all[name] = func(into map[string]any, from ...map[string]any) (any, error) {
				merged, err := merge(into, from...)
				return merged, errors.Join(err, acyclic(into))
			}
		}
	}
	return all
}

func setKey(dict map[string]any, key string, value any) (map[string]any, error) {
	if err := search(reflect.ValueOf(value), map[uintptr]bool{reflect.ValueOf(dict).Pointer(): true}, map[uintptr]bool{}); err != nil {
		return nil, err
	}
	dict[key] = value
	return dict, nil
}

// acyclic refuses a dict that holds itself.
func acyclic(dict map[string]any) error {
	return search(reflect.ValueOf(dict), map[uintptr]bool{}, map[uintptr]bool{})
}

// search looks below v for one of the maps that it is inside of; each map is entered once.
func search(v reflect.Value, inside, done map[uintptr]bool) error {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Map:
		at := v.Pointer()
		switch {
		case inside[at]:
			return errCycle
		case done[at]:
			return nil
		}
		inside[at] = true
		for entries := v.MapRange(); entries.Next(); {
			if err := search(entries.Value(), inside, done); err != nil {
				return err
			}
		}
		delete(inside, at)
		done[at] = true
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() != reflect.Interface && v.Type().Elem().Kind() != reflect.Map {
			return nil
		}
		for i := range v.Len() {
			if err := search(v.Index(i), inside, done); err != nil {
				return err
			}
		}
	}
	return nil
}
