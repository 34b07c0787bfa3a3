package condition

import (
	"fmt"

	"github.com/google/cel-go/cel"
)

// Scope names the variables of an expression.
type Scope struct {
	// fields are those that a variable can have; nil: it is any JSON value.
	fields map[string][]string
}

// Attestation is the scope of conditions over an attestation: predicate is any JSON
// value, release and signer hold texts and whole numbers.
func Attestation() Scope {
	return Scope{fields: map[string][]string{
		"predicate": nil,
		"release":   {"repository", "digest", "source", "revision", "ref", "version", "sequence", "epoch"},
		"signer":    {"authority", "issuer", "subject"},
	}}
}

// Object is the scope of rules over a live object of Kubernetes: self.
func Object() Scope { return Scope{fields: map[string][]string{"self": nil}} }

// Input is what the variables of a scope hold, as encoding/json or Kubernetes'
// unstructured decode it; whole numbers are integers for the expression. A missing
// variable is null, or empty where the scope knows its fields.
type Input map[string]any

func (s Scope) declarations() []cel.EnvOption {
	var options []cel.EnvOption
	for name, fields := range s.fields {
		kind := cel.DynType
		if fields != nil {
			kind = cel.MapType(cel.StringType, cel.DynType)
		}
		options = append(options, cel.Variable(name, kind))
	}
	return options
}

// take bounds the input and turns it into CEL's values.
func (s Scope) take(in Input) (map[string]any, error) {
	var b intake
	vars := map[string]any{}
	for name, fields := range s.fields {
		value := in[name]
		if value == nil && fields != nil {
			value = map[string]any{}
		}
		taken, err := b.take(value, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		vars[name] = taken
	}
	return vars, nil
}
