// Package flux reads Flux's image automation documents as files: ImageRepository, ImagePolicy
// and ImageUpdateAutomation become what sealift.yaml would say. It is pure.
package flux

import (
	"time"

	"sealift.dev/api/v1alpha1"
)

// File is a file of the repository.
type File struct {
	Path string // from the root, with slashes
	Data []byte
}

// Found is what the documents of a tree say.
type Found struct {
	Images      []Image // sorted by namespace and name
	Automations []Automation
	Notes       []Note
}

// Image is one ImagePolicy together with its ImageRepository.
type Image struct {
	v1alpha1.Image                   // as sealift.yaml would say it; Namespace and Name are set
	Labels         map[string]string // of the ImagePolicy
	File           string            // where the ImagePolicy is
	PlainHTTP      bool              // spec.insecure of the ImageRepository
	Suspended      bool              // spec.suspend of the ImagePolicy or of the ImageRepository
}

// Automation is one ImageUpdateAutomation: which policies write to which files, and how.
type Automation struct {
	Namespace, Name string
	File            string
	Path            string // of what is updated, from the root; empty: everywhere
	Suspended       bool
	Interval        time.Duration // spec.interval
	Branch          string        // spec.git.checkout.ref.branch; empty: that of its source
	PushBranch      string        // spec.git.push.branch; empty: Branch
	PushOptions     []string      // as git push -o takes them
	Author          v1alpha1.CommitAuthor
	Message         string            // Flux's template; see Message
	Values          map[string]string // for the template

	selector selector
}

// Note is what a reader of the documents should know: what is broken, or plays no part.
type Note struct {
	File   string
	Object string // KIND NAMESPACE/NAME; empty: the whole file
	Reason string
}

// MayHaveDocuments says whether a file is worth a look.
func MayHaveDocuments(path string, data []byte) bool { return false }

// Read reads the documents of a tree. What is broken becomes a note.
func Read(files []File) Found { return Found{} }

// Writes says whether the automation may write the policy's value to a file: it is of the same
// namespace, its selector takes the policy's labels, and the file is below Path.
func (a Automation) Writes(i Image, path string) bool { return false }

type selector struct{}
