// Package flux reads Flux's image automation documents as files: ImageRepository, ImagePolicy
// and ImageUpdateAutomation become what sealift.yaml would say. It is pure.
package flux

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"sealift.dev/api/v1alpha1"
)

// Limits of a tree.
const (
	maxFileBytes = 1 << 20
	maxObjects   = 10_000 // of Flux's kinds, in all files
	maxNotes     = 1_000
)

// File is a file of the repository.
type File struct {
	Path string // from the root, with slashes
	Data []byte
}

// Found is what the documents of a tree say.
type Found struct {
	Images      []Image      // sorted by namespace and name
	Automations []Automation // sorted by namespace and name
	Notes       []Note
}

// Image is one ImagePolicy together with its ImageRepository.
type Image struct {
	v1alpha1.Image                   // as sealift.yaml would say it; Namespace and Name are set
	Labels         map[string]string // of the ImagePolicy
	File           string            // where the ImagePolicy is
	Suspended      bool              // spec.suspend of the ImagePolicy or of the ImageRepository
}

// Policy is what markers call the image: NAMESPACE:NAME.
func (i Image) Policy() string { return i.Namespace + ":" + i.Name }

// Automation is one ImageUpdateAutomation: which policies write to which files, and how.
type Automation struct {
	Namespace, Name string
	File            string
	Path            string // of what is updated, from the root; empty: everywhere
	Suspended       bool
	Branch          string                 // spec.git.checkout.ref.branch; empty: that of its source
	PushBranch      string                 // spec.git.push.branch; empty: Branch
	PushOptions     []string               // as git push -o takes them, sorted
	Author          *v1alpha1.CommitAuthor // nil: it names none
	Message         string                 // Flux's template, for Render; empty: it has none
	Values          map[string]string      // for the template

	selector labels.Selector
}

// Note is what a reader of the documents should know: what is broken, or plays no part.
type Note struct {
	File   string
	Object string // KIND NAMESPACE/NAME; empty: the whole file
	Reason string
}

// Read reads the documents of a tree. What is broken becomes a note, and does not count.
func Read(files []File) Found {
	r := reader{seen: map[identity]string{}, repositories: map[identity]object[repositorySpec]{}, labels: map[string]map[string]string{}}
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	var documents []document
	for _, f := range files {
		documents = append(documents, r.documents(f)...)
	}
	spaces := namespacesOf(files, documents, r.note)
	for _, d := range documents {
		for _, namespace := range spaces.of(d) {
			r.take(d, namespace)
		}
	}
	return r.found()
}

// Writes says whether the automation may write the policy's value to a file: it is of the same
// namespace, its selector takes the policy's labels, and the file is below Path.
func (a Automation) Writes(i Image, path string) bool {
	return a.Namespace == i.Namespace && below(path, a.Path) && (a.selector == nil || a.selector.Matches(labels.Set(i.Labels)))
}
