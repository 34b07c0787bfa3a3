package tailor

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// errQuotes stands for an error that tells too much.
var errQuotes = errors.New("kustomize refuses what the patches make of the objects, in words that hold values of a Secret; hint: try the patches on a copy of the release with other values")

// unquoted is err, unless it holds what was decrypted.
func unquoted(err error, sealed, opened []*unstructured.Unstructured) error {
	text := err.Error()
	for i, u := range opened {
		if u != sealed[i] && quotesOpened(text, sealed[i].Object, u.Object) {
			return errQuotes
		}
	}
	return err
}

// quotesOpened says that text holds a value in opened that is another one in sealed.
func quotesOpened(text string, sealed, opened any) bool {
	switch opened := opened.(type) {
	case string:
		return sealed != any(opened) && quotes(text, opened)
	case map[string]any:
		was, _ := sealed.(map[string]any)
		for key, child := range opened {
			if quotesOpened(text, was[key], child) {
				return true
			}
		}
	case []any:
		was, _ := sealed.([]any)
		for i, child := range opened {
			if i < len(was) && quotesOpened(text, was[i], child) {
				return true
			}
		}
	}
	return false
}

// explained is what kustomize says, in fewer words where it prints objects whole, and
// without values of Secrets.
func explained(err error, objs []*unstructured.Unstructured) error {
	text := err.Error()
	if strings.Contains(text, "produces ID conflict") {
		return clash(objs)
	}
	for _, u := range objs {
		for _, field := range []string{"data", "stringData"} {
			if u.GetKind() == "Secret" && quotes(text, u.Object[field]) {
				return errQuotes
			}
		}
	}
	return err
}

// clash names two objects that are one in the same namespace.
func clash(objs []*unstructured.Unstructured) error {
	type named struct{ version, kind, name string }
	seen := map[named]string{}
	for _, u := range objs {
		is := named{u.GetAPIVersion(), u.GetKind(), u.GetName()}
		if other := seen[is]; other != "" {
			return fmt.Errorf("%s and %s are one in the same namespace", other, name(u))
		}
		seen[is] = name(u)
	}
	return errors.New("two objects are one in the same namespace")
}

// quotes says that text holds a value in v, as it is or as JSON or Go writes it.
func quotes(text string, v any) bool {
	switch v := v.(type) {
	case string:
		encoded, err := json.Marshal(v)
		return err == nil && v != "" && (strings.Contains(text, v) || strings.Contains(text, strings.Trim(string(encoded), `"`)) || strings.Contains(text, strings.Trim(strconv.Quote(v), `"`)))
	case map[string]any:
		for _, child := range v {
			if quotes(text, child) {
				return true
			}
		}
	}
	return false
}
