// Package crd judges custom resources by a CustomResourceDefinition that no API
// server serves yet, as the server would: unknown fields, schema, list types and
// CEL rules. Admission is not part of it.
package crd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// maxUnknown bounds how many unknown fields an error names.
const maxUnknown = 10

// Definition is a CustomResourceDefinition, ready to judge; safe for concurrent use.
type Definition struct {
	versions map[string]*version
}

// version judges the objects of one version.
type version struct {
	structure *structural.Structural
	schema    validation.SchemaValidator
	rules     *cel.Validator
	// reports: the status is a subresource, and is dropped from what is created.
	reports bool
}

// Parse reads the JSON of a CustomResourceDefinition (apiextensions.k8s.io/v1). The
// error says that a schema is not structural; the API server refuses it, too.
func Parse(raw []byte) (*Definition, error) {
	var read apiextensionsv1.CustomResourceDefinition
	if err := json.Unmarshal(raw, &read); err != nil {
		return nil, fmt.Errorf("reading the definition: %w", err)
	}
	d := &Definition{versions: map[string]*version{}}
	for _, v := range read.Spec.Versions {
		if !v.Served || v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			continue
		}
		judge, err := newVersion(v.Schema.OpenAPIV3Schema)
		if err != nil {
			return nil, fmt.Errorf("reading the schema of %s version %s: %w", read.Name, v.Name, err)
		}
		judge.reports = v.Subresources != nil && v.Subresources.Status != nil
		d.versions[v.Name] = judge
	}
	return d, nil
}

func newVersion(props *apiextensionsv1.JSONSchemaProps) (*version, error) {
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return nil, err
	}
	structure, err := structural.NewStructural(&internal)
	if err != nil {
		return nil, err
	}
	schema, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, err
	}
	return &version{structure: structure, schema: schema, rules: cel.NewValidator(structure, true, celconfig.PerCallLimit)}, nil
}

// Check says what the API server would find wrong in the JSON of an object that is
// created, as an API error; known is false when the definition has no schema for it.
func (d *Definition) Check(ctx context.Context, raw []byte) (known bool, err error) {
	var o unstructured.Unstructured
	if err := o.UnmarshalJSON(raw); err != nil {
		return false, fmt.Errorf("reading the object: %w", err)
	}
	gvk := o.GroupVersionKind()
	v := d.versions[gvk.Version]
	if v == nil {
		return false, nil
	}
	if unknown := v.unknown(o.Object); len(unknown) > 0 {
		return true, apierrors.NewBadRequest("strict decoding error: " + strings.Join(unknown, ", "))
	}
	if v.reports {
		delete(o.Object, "status")
	}
	if wrong := v.validate(ctx, o.Object); len(wrong) > 0 {
		return true, apierrors.NewInvalid(gvk.GroupKind(), o.GetName(), wrong)
	}
	return true, nil
}

// unknown names the fields that the schema does not have, in the API server's words.
func (v *version) unknown(object map[string]any) []string {
	paths := pruning.PruneWithOptions(object, v.structure, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	var named []string
	for _, path := range paths[:min(len(paths), maxUnknown)] {
		named = append(named, fmt.Sprintf("unknown field %q", path))
	}
	return named
}

// validate takes the steps of a creation in the API server's order.
func (v *version) validate(ctx context.Context, object map[string]any) field.ErrorList {
	defaulting.PruneNonNullableNullsWithoutDefaults(object, v.structure)
	defaulting.Default(object, v.structure)
	errs := validation.ValidateCustomResource(nil, object, v.schema)
	errs = append(errs, objectmeta.Validate(ctx, nil, object, v.structure, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structure, object)...)
	if v.rules == nil || len(errs) > 0 {
		return errs // rules rely on the types that the schema has
	}
	errs, _ = v.rules.Validate(ctx, nil, v.structure, object, nil, celconfig.RuntimeCELCostBudget)
	return errs
}
