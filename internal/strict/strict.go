// Package strict reads JSON that strangers wrote, without the leniencies of
// encoding/json: two readers of one document must see the same values.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// MaxDepth is how many objects and arrays may be nested.
const MaxDepth = 100

// MaxElements is how many elements an array may have that becomes a slice of
// structs: a byte or two of JSON take a hundred times as much there.
const MaxElements = 1 << 16

// ErrElements is under the error about an array with more than MaxElements.
var ErrElements = errors.New("an array has too many elements")

// Unmarshal decodes one JSON value into v. It refuses duplicate keys, keys that
// differ from a field of v, or from each other, in case only, more than MaxDepth
// levels or MaxElements, and anything after the value. Unknown keys are passed over.
func Unmarshal(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := check(dec, reflect.TypeOf(v), 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("bytes follow the JSON value at offset %d", dec.InputOffset())
	}
	return json.Unmarshal(data, v)
}

// check reads one value that will be decoded into t, which is nil for a value
// that no field takes.
func check(dec *json.Decoder, t reflect.Type, depth int) error {
	token, err := dec.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= MaxDepth {
		return fmt.Errorf("nested more than %d levels deep", MaxDepth)
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if delim == '{' {
		err = checkObject(dec, t, depth)
	} else {
		err = checkArray(dec, t, depth)
	}
	if err != nil {
		return err
	}
	if _, err = dec.Token(); errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func checkArray(dec *json.Decoder, t reflect.Type, depth int) error {
	var elem reflect.Type
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		elem = t.Elem()
	}
	for n := 0; dec.More(); n++ {
		if n == MaxElements && isStruct(elem) {
			return fmt.Errorf("%w, more than %d", ErrElements, MaxElements)
		}
		if err := check(dec, elem, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func isStruct(t reflect.Type) bool {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t != nil && t.Kind() == reflect.Struct
}

func checkObject(dec *json.Decoder, t reflect.Type, depth int) error {
	fields := fieldsOf(t)
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return fmt.Errorf("a key is missing at offset %d", dec.InputOffset())
		}
		if seen[key] {
			return fmt.Errorf("key %q is there twice", key)
		}
		seen[key] = true
		elem, known := fields[key]
		if !known && t != nil && t.Kind() == reflect.Map {
			elem = t.Elem()
		}
		for name := range fields {
			if !known && strings.EqualFold(name, key) {
				return fmt.Errorf("key %q differs from %q in case only", key, name)
			}
		}
		if err := check(dec, elem, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf is what encoding/json would fill in a struct: JSON name to type.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			for n, ft := range fieldsOf(f.Type) {
				fields[n] = ft
			}
			continue
		}
		if name == "" {
			name = f.Name
		}
		if f.IsExported() && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}
