package automator

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	texttemplate "text/template"
	"text/template/parse"

	"sealift.dev/internal/text"
)

// Bounds of a template and of what it makes.
const (
	maxTemplate = 16 << 10
	maxRendered = 64 << 10
)

// template is a Go template of a sealift.yaml, which is other people's: what it may do is bounded
// by the changes that it tells of.
type template struct{ parsed *texttemplate.Template }

// described is what a template sees.
type described struct {
	Group   string // empty: of the images that name none
	Branch  string
	Changes []Change
	Images  []ImageReport // those with changes
}

// parseTemplate reads a field's template; an empty one is nil.
func parseTemplate(field, source string) (*template, error) {
	if source == "" {
		return nil, nil
	}
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("%s: the template has %d bytes, more than %d", field, len(source), maxTemplate)
	}
	parsed, err := texttemplate.New(field).Funcs(boundedFuncs()).Parse(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	if len(parsed.Templates()) > 1 {
		return nil, fmt.Errorf("%s: the template defines others; hint: write it in one piece", field)
	}
	if parsed.Tree == nil {
		return nil, nil
	}
	t := &template{parsed: parsed}
	if err := checkNodes(parsed.Root, false); err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	// A field that does not exist shows here, and not when there is something to commit.
	example := described{Group: "shop", Branch: "main", Changes: []Change{{Image: "shop:shop"}}, Images: []ImageReport{{Name: "shop:shop"}}}
	_, err = t.render(example)
	return t, err
}

// checkNodes refuses what could make a short template run long: loops over anything but lists,
// long lists within loops, and calls of other templates.
func checkNodes(list *parse.ListNode, looping bool) error {
	if list == nil {
		return nil
	}
	for _, node := range list.Nodes {
		if err := checkNode(node, looping); err != nil {
			return err
		}
	}
	return nil
}

func checkNode(node parse.Node, looping bool) error {
	var branch *parse.BranchNode
	switch n := node.(type) {
	case *parse.TemplateNode:
		return errors.New("the template calls another; hint: write it in one piece")
	case *parse.RangeNode:
		known := []string{"Findings", "Refusals", "Signers"}
		if !looping {
			known = append(known, "Changes", "Images")
		}
		if list := lastField(n.Pipe); !slices.Contains(known, list) {
			return fmt.Errorf("range %s: a loop here goes over one of %s", n.Pipe, strings.Join(known, ", "))
		}
		branch, looping = &n.BranchNode, true
	case *parse.IfNode:
		branch = &n.BranchNode
	case *parse.WithNode:
		branch = &n.BranchNode
	default:
		return nil
	}
	return errors.Join(checkNodes(branch.List, looping), checkNodes(branch.ElseList, looping))
}

// lastField is Changes for .Changes and $.Changes; empty for whatever is no field.
func lastField(pipe *parse.PipeNode) string {
	if len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return ""
	}
	var names []string
	switch n := pipe.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		names = n.Ident
	case *parse.VariableNode:
		names = n.Ident[1:]
	}
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}

// boundedFuncs stand for Go's own, whose results could double from line to line.
func boundedFuncs() texttemplate.FuncMap {
	bounded := func(made func(args ...any) string) func(args ...any) (string, error) {
		return func(args ...any) (string, error) {
			if err := text.CheckArguments(maxRendered, args...); err != nil {
				return "", err
			}
			s := made(args...)
			return s, text.CheckArguments(maxRendered, s)
		}
	}
	return texttemplate.FuncMap{
		"print":    bounded(fmt.Sprint),
		"println":  bounded(fmt.Sprintln),
		"html":     bounded(texttemplate.HTMLEscaper),
		"js":       bounded(texttemplate.JSEscaper),
		"urlquery": bounded(texttemplate.URLQueryEscaper),
		"printf": func(format string, args ...any) (string, error) {
			if err := text.CheckFormat(format); err != nil {
				return "", err
			}
			return bounded(func(args ...any) string { return fmt.Sprintf(format, args...) })(args...)
		},
	}
}

func (t *template) render(d described) (string, error) {
	var out bounded
	if err := t.parsed.Execute(&out, d); err != nil {
		return "", fmt.Errorf("the template: %w", err)
	}
	return text.Lines(strings.TrimSpace(out.String())), nil
}

// bounded takes up to maxRendered bytes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("it makes more than %d bytes", maxRendered)
	}
	return b.Buffer.Write(p)
}
