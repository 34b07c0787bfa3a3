package render

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// checkSchemas holds the values of a chart, and of those in it, against their schemas.
func checkSchemas(c *chart.Chart, values map[string]any) error {
	if c.Schema != nil {
		if err := checkSchema(c.Schema, values); err != nil {
			return fmt.Errorf("the values do not fit the schema of %s: %w", c.ChartFullPath(), err)
		}
	}
	for _, d := range c.Dependencies() {
		own, ok := values[d.Name()].(map[string]any)
		if !ok {
			continue
		}
		if err := checkSchemas(d, own); err != nil {
			return err
		}
	}
	return nil
}

// schemaFile is what a chart's schema calls itself in messages.
const schemaFile = "file:///values.schema.json"

func checkSchema(schema []byte, values map[string]any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the schema cannot be used: %v", p)
		}
	}()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource(schemaFile, parsed); err != nil {
		return err
	}
	compiled, err := compiler.Compile(schemaFile)
	if err != nil {
		return err
	}
	if err := compiled.Validate(values); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "jsonschema validation failed with '"+schemaFile+"#'\n"))
	}
	return nil
}

// nowhere is where other schemas are: nothing is fetched.
type nowhere struct{}

// Load implements jsonschema.URLLoader.
func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema %q is elsewhere, and nothing is fetched", url)
}
