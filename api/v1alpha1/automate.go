package v1alpha1

import (
	"encoding/json"
	"fmt"
	"time"
)

// Automate is the automator's part of sealift.yaml.
// +kubebuilder:object:generate=false
type Automate struct {
	// Branch is read from and pushed to; a --branch flag goes before it.
	Branch string `json:"branch,omitempty"`
	// Push says where commits go. Zero: to Branch.
	Push *AutomatePush `json:"push,omitempty"`
	// Commit says what commits look like.
	Commit *AutomateCommit `json:"commit,omitempty"`
	// PullRequests asks people to merge, instead of pushing to Branch.
	PullRequests *PullRequests `json:"pullRequests,omitempty"`
	// Trust is a file of the repository with TrustPolicy documents that images must pass
	// which name none of their own. Empty: none.
	Trust string `json:"trust,omitempty"`
	// Flux says what becomes of Flux documents and markers in the tree. Default: Follow.
	Flux FluxMode `json:"flux,omitempty"`
	// Images are the images to follow.
	Images []Image `json:"images,omitempty"`
}

// FluxMode says whether ImageRepository and ImagePolicy documents of the tree count.
type FluxMode string

// The modes of reading Flux documents.
const (
	FluxFollow FluxMode = "Follow"
	FluxIgnore FluxMode = "Ignore"
)

// AutomatePush says where commits go.
// +kubebuilder:object:generate=false
type AutomatePush struct {
	// Branch is pushed to instead of the one that is read. It is made anew from that one
	// each time, unless somebody else has committed to it.
	Branch string `json:"branch,omitempty"`
	// Options are push options, as git push -o takes them.
	Options []string `json:"options,omitempty"`
}

// AutomateCommit says what commits look like.
// +kubebuilder:object:generate=false
type AutomateCommit struct {
	// Author is the author and committer. Default: Sealift <automator@sealift.dev>.
	Author *CommitAuthor `json:"author,omitempty"`
	// Message is a Go template of the text above the trailers.
	Message string `json:"message,omitempty"`
}

// CommitAuthor is a person, or a program, as Git names one.
// +kubebuilder:object:generate=false
type CommitAuthor struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// PullRequests says how people are asked to merge.
// +kubebuilder:object:generate=false
type PullRequests struct {
	// Provider is GitHub, GitLab, Gitea or Forgejo.
	Provider string `json:"provider"`
	// URL of the API. Default: that of the repository's host.
	URL string `json:"url,omitempty"`
	// Branch begins the names of branches, before the group's. Default: sealift/.
	Branch string `json:"branch,omitempty"`
	// Title is a Go template. Default: the first line of the commit's message.
	Title string `json:"title,omitempty"`
	// Labels, Assignees and Reviewers are set when a pull request is opened.
	Labels    []string `json:"labels,omitempty"`
	Assignees []string `json:"assignees,omitempty"`
	Reviewers []string `json:"reviewers,omitempty"`
	// Draft opens them as drafts.
	Draft bool `json:"draft,omitempty"`
}

// Image is one image to follow.
// +kubebuilder:object:generate=false
type Image struct {
	// Name is what markers call the image: {"$imagepolicy": "NAMESPACE:NAME"}.
	Name string `json:"name"`
	// Namespace is the marker's namespace. Default: the same as Name.
	Namespace string `json:"namespace,omitempty"`
	// Image is the repository without a tag: registry.example.com/apps/shop.
	Image string `json:"image"`
	// Select chooses among the tags.
	Select Select `json:"select"`
	// Pin says whether the digest is written behind the tag. Default: Never.
	Pin PinMode `json:"pin,omitempty"`
	// MinimumAge is how old a tag must be, by its verified signature's or log's time, else
	// since the automator saw it first. Default: 0.
	MinimumAge Age `json:"minimumAge,omitzero"`
	// Window is when updates may be made. Default: always.
	Window *Window `json:"window,omitempty"`
	// Platforms must all be in the image: linux/amd64, linux/arm64/v8.
	Platforms []string `json:"platforms,omitempty"`
	// Trust is a file of the repository with TrustPolicy documents that the image must pass.
	// Default: that of Automate.
	Trust string `json:"trust,omitempty"`
	// AllowDowngrade also writes a lower version than the one that is there.
	AllowDowngrade bool `json:"allowDowngrade,omitempty"`
	// OnRevert says what a person's revert means. Default: Skip.
	OnRevert OnRevert `json:"onRevert,omitempty"`
	// Group is which images share a commit, or a pull request. Default: all do.
	Group string `json:"group,omitempty"`
	// Targets are values to write beside those with markers.
	Targets []Target `json:"targets,omitempty"`
}

// PinMode says when a tag's digest is asked for, and written.
type PinMode string

// The pin modes, with the meaning of Flux's digestReflectionPolicy.
const (
	PinNever        PinMode = "Never"
	PinIfNotPresent PinMode = "IfNotPresent" // once per tag
	PinAlways       PinMode = "Always"       // again in each pass, also if only the digest has moved
)

// OnRevert says what a person's revert of an update means.
type OnRevert string

// What a revert means.
const (
	// RevertSkip holds what was reverted; a newer version is taken.
	RevertSkip OnRevert = "Skip"
	// RevertFreeze holds everything until somebody lifts it.
	RevertFreeze OnRevert = "Freeze"
)

// Select chooses one tag. Exactly one of its policies is set: Semver, Alphabetical,
// Numerical, Newest or Digest.
// +kubebuilder:object:generate=false
type Select struct {
	// Semver is a range in Masterminds' grammar: ">=1.0.0 <2.0.0".
	Semver string `json:"semver,omitempty"`
	// Loose also takes versions of one and two parts for candidates, with Semver.
	Loose bool `json:"loose,omitempty"`
	// Alphabetical orders bytewise: asc takes the last, desc the first.
	Alphabetical string `json:"alphabetical,omitempty"`
	// Numerical orders as numbers: asc takes the greatest, desc the smallest.
	Numerical string `json:"numerical,omitempty"`
	// Newest takes the one that came last, by its verified time, else as first seen.
	Newest bool `json:"newest,omitempty"`
	// Digest is a tag that moves, whose digest is followed: latest.
	Digest string `json:"digest,omitempty"`
	// Match is a regular expression (RE2) that tags must match; it is not anchored.
	Match string `json:"match,omitempty"`
	// Extract is what of a tag is ordered, in terms of Match's groups: $1, ${version}.
	// Default: the whole tag.
	Extract string `json:"extract,omitempty"`
	// Ignore are regular expressions (RE2) of tags that do not count. Default: ^.*\.sig$.
	Ignore []string `json:"ignore,omitempty"`
}

// Window is when updates may be made.
// +kubebuilder:object:generate=false
type Window struct {
	// Days are Mon, Tue, Wed, Thu, Fri, Sat, Sun. Default: all.
	Days []string `json:"days,omitempty"`
	// From and To are times of day, such as 09:00 and 17:00; To may be on the next day.
	// Default: the whole day.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// TimeZone is of the IANA database: Europe/Berlin. Default: UTC.
	TimeZone string `json:"timeZone,omitempty"`
}

// Age is a time span in Go's notation, such as 72h.
// +kubebuilder:object:generate=false
type Age struct{ time.Duration }

// UnmarshalJSON names the field, since the decoder does not.
func (a *Age) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	if err == nil {
		a.Duration, err = time.ParseDuration(text)
	}
	if err != nil {
		return fmt.Errorf("minimumAge: %.50s is no time span; hint: days in hours, 72h", data)
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (a Age) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }

// Target is a value in files, or a set of values that belong together. Exactly one of Key,
// Regexp, Kustomize and Helm is set.
// +kubebuilder:object:generate=false
type Target struct {
	// Path is the file, from the root of the repository; * and ** stand for names and folders.
	Path string `json:"path"`
	// Key leads to a value of a YAML, JSON or TOML file: image.tag, images[name=shop].newTag.
	Key string `json:"key,omitempty"`
	// Regexp is a regular expression (RE2) with one group, which is the value; in any text file.
	Regexp string `json:"regexp,omitempty"`
	// Kustomize is the name of an entry of a kustomization's images, whose newName, newTag
	// and digest are written where they are there.
	Kustomize string `json:"kustomize,omitempty"`
	// Helm names the values of a values file.
	Helm *HelmTarget `json:"helm,omitempty"`
	// Write is what goes to Key or Regexp: ref (REPOSITORY:TAG[@DIGEST]), tag, name or digest.
	// Default: ref.
	Write string `json:"write,omitempty"`
}

// HelmTarget names the values of a chart that make an image, as keys. Empty: it has no such value.
// +kubebuilder:object:generate=false
type HelmTarget struct {
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
}
