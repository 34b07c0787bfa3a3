package flux

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"sealift.dev/internal/text"
)

// Limits of a message template.
const (
	maxTemplate = 16 << 10 // bytes
	maxMessage  = 64 << 10
	maxWork     = 2 << 20 // bytes of the template that are run, and of texts that functions read
	maxChanges  = 500
	maxValue    = 1 << 10
)

// Change is one edited value, as a message's template sees it.
type Change struct {
	File     string
	Object   Object // in which the value is; zero: unknown
	OldValue string
	NewValue string
	Setter   string // NAMESPACE:NAME, with :tag, :name or :digest where the marker has it
	Image    ImageRef
}

// Object names an object in a file, or what a file has instead of one.
type Object struct{ APIVersion, Kind, Namespace, Name string }

// ImageRef is an image that was written, under the names that Flux's older templates use.
type ImageRef struct{ Ref, Tag, NamespacedPolicy string }

// String is the whole reference.
func (i ImageRef) String() string { return i.Ref }

// Identifier is the tag.
func (i ImageRef) Identifier() string { return i.Tag }

// Policy is NAMESPACE/NAME.
func (i ImageRef) Policy() string { return strings.Replace(i.NamespacedPolicy, ":", "/", 1) }

// Name is the whole reference with the registry spelled out.
func (i ImageRef) Name() string {
	return strings.TrimSuffix(i.Registry()+"/"+i.Repository()+":"+i.Tag, ":")
}

// Registry is the host.
func (i ImageRef) Registry() string {
	first, _, ok := strings.Cut(i.Ref, "/")
	if !ok || !strings.ContainsAny(first, ".:") && first != "localhost" {
		return "index.docker.io"
	}
	return first
}

// Repository is what stands between the host and the tag.
func (i ImageRef) Repository() string {
	repository, _, _ := strings.Cut(strings.TrimPrefix(i.Ref, i.Registry()+"/"), "@")
	if colon := strings.LastIndexByte(repository, ':'); colon > strings.LastIndexByte(repository, '/') {
		repository = repository[:colon]
	}
	if i.Registry() == "index.docker.io" && !strings.Contains(repository, "/") {
		return "library/" + repository
	}
	return repository
}

// templateData is what Flux hands to a template.
type templateData struct {
	AutomationObject automationName
	Changed          changed
	Updated          updated // of v1beta2 and before
	Values           map[string]string
}

type automationName struct{ Namespace, Name string }

func (n automationName) String() string { return n.Namespace + "/" + n.Name }

// changed has the changes by file and object, by object, and all of them.
type changed struct {
	FileChanges map[string]map[Object][]Change
	Objects     map[Object][]Change
	Changes     []Change
}

// updated has the images by file and object, by object, and each once.
type updated struct {
	Files   map[string]fileUpdate
	Objects map[Object][]ImageRef
	Images  []ImageRef
}

type fileUpdate struct{ Objects map[Object][]ImageRef }

// Render makes the commit message of the automation's template. Empty: it has none. The
// template is bounded in what it may read, write and repeat; the error says why there is no
// message, and the caller takes its own.
func (a Automation) Render(changes []Change) (string, error) {
	if strings.TrimSpace(a.Message) == "" {
		return "", nil
	}
	message, err := render(a.Message, a.data(changes))
	if err != nil {
		return "", fmt.Errorf("spec.git.commit.messageTemplate: %w", err)
	}
	return message, nil
}

func (a Automation) data(changes []Change) templateData {
	d := templateData{
		AutomationObject: automationName{a.Namespace, a.Name}, Values: a.Values,
		Changed: changed{FileChanges: map[string]map[Object][]Change{}, Objects: map[Object][]Change{}},
		Updated: updated{Files: map[string]fileUpdate{}, Objects: map[Object][]ImageRef{}},
	}
	for _, c := range changes[:min(len(changes), maxChanges)] {
		c.OldValue, c.NewValue = text.Line(c.OldValue, maxValue), text.Line(c.NewValue, maxValue)
		d.Changed.Changes = append(d.Changed.Changes, c)
		d.Changed.Objects[c.Object] = append(d.Changed.Objects[c.Object], c)
		if d.Changed.FileChanges[c.File] == nil {
			d.Changed.FileChanges[c.File] = map[Object][]Change{}
			d.Updated.Files[c.File] = fileUpdate{Objects: map[Object][]ImageRef{}}
		}
		d.Changed.FileChanges[c.File][c.Object] = append(d.Changed.FileChanges[c.File][c.Object], c)
		d.Updated.Files[c.File].Objects[c.Object] = append(d.Updated.Files[c.File].Objects[c.Object], c.Image)
		d.Updated.Objects[c.Object] = append(d.Updated.Objects[c.Object], c.Image)
		if !slices.Contains(d.Updated.Images, c.Image) {
			d.Updated.Images = append(d.Updated.Images, c.Image)
		}
	}
	return d
}

func render(source string, data templateData) (string, error) {
	if len(source) > maxTemplate {
		return "", fmt.Errorf("it has %d bytes, more than %d", len(source), maxTemplate)
	}
	left := budget(maxWork)
	functions := left.functions()
	parsed, err := template.New("message").Option("missingkey=zero").Funcs(functions).Parse(source)
	if err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	for _, t := range parsed.Templates() {
		if t.Tree != nil {
			meter(t.Root, functions)
		}
	}
	var out limitedText
	if err := parsed.Execute(&out, data); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	return out.String(), nil
}

// meter lets everything that may be run more than once begin with a call that pays for it, by
// its length: Go's templates have no other bound.
func meter(list *parse.ListNode, functions template.FuncMap) {
	if list == nil {
		return
	}
	call := fmt.Sprintf("{{%s %d}}", payName, len(list.String())+maxValue/16)
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.RangeNode:
			meter(n.List, functions)
			meter(n.ElseList, functions)
		case *parse.IfNode:
			meter(n.List, functions)
			meter(n.ElseList, functions)
		case *parse.WithNode:
			meter(n.List, functions)
			meter(n.ElseList, functions)
		}
	}
	paying := template.Must(template.New("pay").Funcs(functions).Parse(call))
	list.Nodes = append([]parse.Node{paying.Root.Nodes[0]}, list.Nodes...)
}

// limitedText is a text of at most maxMessage bytes.
type limitedText struct{ strings.Builder }

// Write fails beyond the limit.
func (t *limitedText) Write(p []byte) (int, error) {
	if t.Len()+len(p) > maxMessage {
		return 0, fmt.Errorf("it writes more than %d bytes", maxMessage)
	}
	return t.Builder.Write(p)
}
