package flux

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// Limits of a message template. Steps are ranges' turns and nested templates' calls.
const (
	maxTemplate = 16 << 10
	maxMessage  = 64 << 10
	maxSteps    = 20_000
	maxChanges  = 1_000
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

// changed has the changes by file and object.
type changed struct {
	FileChanges map[string]map[Object][]Change
	changes     []Change
}

// Changes are all changes.
func (c changed) Changes() []Change { return c.changes }

// Objects are the changes by object, whatever the file.
func (c changed) Objects() map[Object][]Change {
	objects := map[Object][]Change{}
	for _, change := range c.changes {
		objects[change.Object] = append(objects[change.Object], change)
	}
	return objects
}

// updated has the images by file and object.
type updated struct {
	Files   map[string]fileUpdate
	changes []Change
}

type fileUpdate struct{ Objects map[Object][]ImageRef }

// Images are those that were written, each once.
func (u updated) Images() []ImageRef {
	var images []ImageRef
	seen := map[string]bool{}
	for _, change := range u.changes {
		if !seen[change.Image.Ref] {
			seen[change.Image.Ref] = true
			images = append(images, change.Image)
		}
	}
	return images
}

// Objects are the images by object, whatever the file.
func (u updated) Objects() map[Object][]ImageRef {
	objects := map[Object][]ImageRef{}
	for _, change := range u.changes {
		objects[change.Object] = append(objects[change.Object], change.Image)
	}
	return objects
}

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
	changes = changes[:min(len(changes), maxChanges)]
	d := templateData{
		AutomationObject: automationName{a.Namespace, a.Name}, Values: a.Values,
		Changed: changed{FileChanges: map[string]map[Object][]Change{}, changes: changes},
		Updated: updated{Files: map[string]fileUpdate{}, changes: changes},
	}
	for _, c := range changes {
		if d.Changed.FileChanges[c.File] == nil {
			d.Changed.FileChanges[c.File] = map[Object][]Change{}
			d.Updated.Files[c.File] = fileUpdate{Objects: map[Object][]ImageRef{}}
		}
		d.Changed.FileChanges[c.File][c.Object] = append(d.Changed.FileChanges[c.File][c.Object], c)
		d.Updated.Files[c.File].Objects[c.Object] = append(d.Updated.Files[c.File].Objects[c.Object], c.Image)
	}
	return d
}

func render(text string, data templateData) (string, error) {
	if len(text) > maxTemplate {
		return "", fmt.Errorf("it has %d bytes, more than %d", len(text), maxTemplate)
	}
	steps := 0
	step := func() (string, error) {
		if steps++; steps > maxSteps {
			return "", fmt.Errorf("it takes more than %d steps", maxSteps)
		}
		return "", nil
	}
	functions := templateFunctions()
	functions[stepName] = step
	parsed, err := template.New("message").Option("missingkey=zero").Funcs(functions).Parse(text)
	if err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	counter := template.Must(template.New("step").Funcs(functions).Parse("{{" + stepName + "}}")).Root.Nodes[0]
	for _, t := range parsed.Templates() {
		if t.Tree != nil {
			count(t.Root, counter)
		}
	}
	var out limitedText
	if err := parsed.Execute(&out, data); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	return out.String(), nil
}

// stepName is the function that every turn of a range, and every template called, begins with.
const stepName = "sealift_step"

// count puts the counter into everything that may be run more than once.
func count(list *parse.ListNode, counter parse.Node) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.RangeNode:
			count(n.List, counter)
			count(n.ElseList, counter)
		case *parse.IfNode:
			count(n.List, counter)
			count(n.ElseList, counter)
		case *parse.WithNode:
			count(n.List, counter)
			count(n.ElseList, counter)
		}
	}
	list.Nodes = append([]parse.Node{counter}, list.Nodes...)
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
