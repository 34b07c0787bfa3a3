package automator

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/json"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/automator/choose"
	"sealift.dev/automator/edit"
	"sealift.dev/automator/flux"
	"sealift.dev/automator/gate"
	"sealift.dev/automator/ledger"
	"sealift.dev/internal/objects"
)

const (
	configAPIVersion = "sealift.dev/v1alpha1"
	configKind       = "Config"
	maxImages        = 1000
	maxTargets       = 1000 // of all images together
	maxNameLength    = 253
)

// settings is what is to be done in a repository: the automate part of sealift.yaml, and
// what the Flux documents beside it add.
type settings struct {
	branch  string
	push    v1alpha1.AutomatePush
	author  Author // zero: not named
	message *template
	pulls   *v1alpha1.PullRequests
	title   *template // of pull requests; nil: the headline
	// automation has Flux's template for commit messages; nil: there is none, or ours counts.
	automation *flux.Automation
	flux       bool // whether Flux's documents count
	images     []followed
}

// followed is one image to follow, with its defaults filled in.
type followed struct {
	v1alpha1.Image
	policy  string // NAMESPACE:NAME, as in the marker
	rule    choose.Rule
	order   *choose.Policy
	window  *gate.Window
	targets []edit.Target
	source  string                 // the file that says so
	writes  func(path string) bool // whether its places in a file count; nil: they do
}

// parseSettings reads sealift.yaml strictly: an unknown or impossible field is an error that
// names it, and nothing is written.
func parseSettings(data []byte) (settings, error) {
	file, err := decodeConfig(data)
	if err != nil {
		return settings{}, err
	}
	if file.Automate == nil {
		return settings{flux: true}, nil
	}
	a := *file.Automate
	s := settings{branch: a.Branch, flux: a.Flux != v1alpha1.FluxIgnore}
	if a.Flux != "" && a.Flux != v1alpha1.FluxFollow && a.Flux != v1alpha1.FluxIgnore {
		return settings{}, fmt.Errorf("automate.flux: %q is neither %s nor %s", a.Flux, v1alpha1.FluxFollow, v1alpha1.FluxIgnore)
	}
	if err := s.setWriting(a); err != nil {
		return settings{}, err
	}
	if a.Trust != "" && !isPlainPath(a.Trust) {
		return settings{}, fmt.Errorf("automate.trust: %q is no path from the root of the repository", a.Trust)
	}
	return s, s.setImages(a)
}

func decodeConfig(data []byte) (v1alpha1.Config, error) {
	var file v1alpha1.Config
	// Documents bounds what aliases make of it.
	documents, err := objects.Documents(objects.File{Path: v1alpha1.ConfigFile, Data: data}, objects.DefaultLimits())
	if err != nil {
		return file, err
	}
	if len(documents) > 1 || countDocuments(data) > 1 {
		return file, fmt.Errorf("it has %d YAML documents; hint: write one, without another ---", max(len(documents), countDocuments(data)))
	}
	for _, d := range documents {
		unknown, err := json.UnmarshalStrict(d.JSON, &file)
		if err := errors.Join(append(unknown, err)...); err != nil {
			return file, err // with the whole path of the field
		}
	}
	if file.APIVersion != configAPIVersion || file.Kind != configKind {
		return file, fmt.Errorf("apiVersion %q, kind %q: %s, %s is wanted", file.APIVersion, file.Kind, configAPIVersion, configKind)
	}
	return file, nil
}

// setWriting takes over where and how is written.
func (s *settings) setWriting(a v1alpha1.Automate) error {
	if a.Branch != "" && !isBranchName(a.Branch) {
		return fmt.Errorf("automate.branch: %q is no name of a branch", a.Branch)
	}
	if a.Push != nil {
		s.push = *a.Push
		if err := checkPush(s.push); err != nil {
			return fmt.Errorf("automate.push: %w", err)
		}
	}
	if a.Commit != nil {
		if err := s.setCommit(*a.Commit); err != nil {
			return fmt.Errorf("automate.commit: %w", err)
		}
	}
	if a.PullRequests != nil {
		if err := s.setPulls(*a.PullRequests); err != nil {
			return fmt.Errorf("automate.pullRequests: %w", err)
		}
	}
	return nil
}

func checkPush(p v1alpha1.AutomatePush) error {
	const maxOptions, maxOption = 32, 1024
	if p.Branch != "" && !isBranchName(p.Branch) {
		return fmt.Errorf("branch: %q is no name of a branch", p.Branch)
	}
	if ledger.Takes(headsPrefix + p.Branch) {
		return fmt.Errorf("branch: %q is the ledger's", p.Branch)
	}
	if len(p.Options) > maxOptions {
		return fmt.Errorf("options: %d are more than %d", len(p.Options), maxOptions)
	}
	for i, option := range p.Options {
		if option == "" || len(option) > maxOption || strings.ContainsAny(option, "\n\x00") {
			return fmt.Errorf("options[%d]: a push option has 1 to %d bytes, on one line", i, maxOption)
		}
	}
	return nil
}

func (s *settings) setCommit(c v1alpha1.AutomateCommit) error {
	if c.Author != nil {
		s.author = Author{Name: c.Author.Name, Email: c.Author.Email}
		if err := s.author.check(); err != nil {
			return err
		}
	}
	var err error
	s.message, err = parseTemplate("message", c.Message)
	return err
}

func (s *settings) setPulls(p v1alpha1.PullRequests) error {
	if s.push.Branch != "" {
		return errors.New("it excludes automate.push.branch: pull requests have branches of their own")
	}
	providers := []string{"GitHub", "GitLab", "Gitea", "Forgejo"}
	i := slices.IndexFunc(providers, func(known string) bool { return strings.EqualFold(known, p.Provider) })
	if i < 0 {
		return fmt.Errorf("provider: %q is none of %s", p.Provider, strings.Join(providers, ", "))
	}
	p.Provider = providers[i]
	if p.Branch == "" {
		p.Branch = "sealift/"
	}
	if !isBranchName(p.Branch + "x") {
		return fmt.Errorf("branch: %q cannot begin the name of a branch", p.Branch)
	}
	for field, values := range map[string][]string{"labels": p.Labels, "assignees": p.Assignees, "reviewers": p.Reviewers} {
		if len(values) > 50 || slices.Contains(values, "") {
			return fmt.Errorf("%s: up to 50 names are wanted, and none of them empty", field)
		}
	}
	s.pulls = &p
	var err error
	s.title, err = parseTemplate("title", p.Title)
	return err
}

func (s *settings) setImages(a v1alpha1.Automate) error {
	if n := len(a.Images); n > maxImages {
		return fmt.Errorf("automate.images has %d entries, more than %d", n, maxImages)
	}
	targets := 0
	for i, entry := range a.Images {
		if entry.Trust == "" {
			entry.Trust = a.Trust
		}
		img, err := parseFollowed(entry)
		if err == nil && s.find(img.policy) >= 0 {
			err = fmt.Errorf("%s is there twice", img.policy)
		}
		if targets += len(img.targets); err == nil && targets > maxTargets {
			err = fmt.Errorf("the images have more than %d targets", maxTargets)
		}
		if err != nil {
			return fmt.Errorf("automate.images[%d]: %w", i, err)
		}
		img.source = v1alpha1.ConfigFile
		s.images = append(s.images, img)
	}
	return nil
}

// find is the place of an image in s.images, or -1.
func (s *settings) find(policy string) int {
	return slices.IndexFunc(s.images, func(img followed) bool { return img.policy == policy })
}

// parseFollowed checks every field of one image, and fills in the defaults.
func parseFollowed(entry v1alpha1.Image) (followed, error) {
	if entry.Namespace == "" {
		entry.Namespace = entry.Name
	}
	if !isMarkerName(entry.Name) || !isMarkerName(entry.Namespace) {
		return followed{}, fmt.Errorf("name %q, namespace %q: letters, digits, '-', '_' and '.' are wanted", entry.Name, entry.Namespace)
	}
	if err := checkRepository(entry.Image); err != nil {
		return followed{}, fmt.Errorf("image %q: %w; hint: write HOST/REPOSITORY without a tag", entry.Image, err)
	}
	f := followed{Image: entry, policy: entry.Namespace + ":" + entry.Name, rule: ruleOf(entry.Select)}
	var err error
	if f.order, err = choose.New(f.rule); err != nil {
		return followed{}, fmt.Errorf("%s: select: %w", entry.Name, err)
	}
	if err := f.setEnums(); err != nil {
		return followed{}, fmt.Errorf("%s: %w", entry.Name, err)
	}
	if w := entry.Window; w != nil {
		if f.window, err = gate.NewWindow(w.Days, w.From, w.To, w.TimeZone); err != nil {
			return followed{}, fmt.Errorf("%s: %w", entry.Name, err)
		}
	}
	for i, target := range entry.Targets {
		parsed, err := edit.NewTarget(f.policy, target)
		if err != nil {
			return followed{}, fmt.Errorf("%s: targets[%d]: %w", entry.Name, i, err)
		}
		f.targets = append(f.targets, parsed)
	}
	return f, nil
}

// setEnums checks what is one of a few words, or a plain name.
func (f *followed) setEnums() error {
	switch f.Pin {
	case "":
		f.Pin = v1alpha1.PinNever
		if f.rule.Digest != "" {
			f.Pin = v1alpha1.PinAlways // there is nothing else to write of a tag that moves
		}
	case v1alpha1.PinNever, v1alpha1.PinIfNotPresent, v1alpha1.PinAlways:
	default:
		return fmt.Errorf("pin: %q is none of %s, %s, %s", f.Pin, v1alpha1.PinNever, v1alpha1.PinIfNotPresent, v1alpha1.PinAlways)
	}
	if f.rule.Digest != "" && f.Pin != v1alpha1.PinAlways {
		return fmt.Errorf("pin: %s writes nothing of select.digest, a tag that moves; hint: leave pin out", f.Pin)
	}
	switch f.OnRevert {
	case "":
		f.OnRevert = v1alpha1.RevertSkip
	case v1alpha1.RevertSkip, v1alpha1.RevertFreeze:
	default:
		return fmt.Errorf("onRevert: %q is neither %s nor %s", f.OnRevert, v1alpha1.RevertSkip, v1alpha1.RevertFreeze)
	}
	const longestAge = 366 * 24
	if age := f.MinimumAge.Duration; age < 0 || age.Hours() > longestAge {
		return fmt.Errorf("minimumAge: %s is not between 0 and %d hours", age, longestAge)
	}
	if f.Trust != "" && !isPlainPath(f.Trust) {
		return fmt.Errorf("trust: %q is no path from the root of the repository", f.Trust)
	}
	if f.Group != "" && (!isMarkerName(f.Group) || !isBranchName(f.Group)) {
		return fmt.Errorf("group: %q: letters, digits, '-', '_' and '.' are wanted", f.Group)
	}
	return f.checkPlatforms()
}

func (f *followed) checkPlatforms() error {
	const maxPlatforms = 32
	if len(f.Platforms) > maxPlatforms {
		return fmt.Errorf("platforms: %d are more than %d", len(f.Platforms), maxPlatforms)
	}
	for _, platform := range f.Platforms {
		parts := strings.Split(platform, "/")
		if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, func(p string) bool { return !isMarkerName(p) }) {
			return fmt.Errorf("platforms: %q is not OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT; hint: linux/amd64", platform)
		}
	}
	return nil
}

func ruleOf(s v1alpha1.Select) choose.Rule {
	return choose.Rule{
		Semver: s.Semver, Loose: s.Loose, Alphabetical: s.Alphabetical, Numerical: s.Numerical, Newest: s.Newest,
		Digest: s.Digest, Match: s.Match, Extract: s.Extract, Ignore: s.Ignore,
	}
}

func checkRepository(image string) error {
	if strings.ContainsRune(image, '@') || strings.LastIndexByte(image, ':') > strings.LastIndexByte(image, '/') {
		return errors.New("it is no repository")
	}
	_, err := artifact.ParseImage(image)
	return err
}

// countDocuments also counts empty ones: only the first would be read. Aliases are not
// followed.
func countDocuments(data []byte) (n int) {
	defer func() { _ = recover() }() // the parser panics on some input it does not understand
	for decoder := yamlnode.NewDecoder(bytes.NewReader(data)); ; n++ {
		var document yamlnode.Node
		if decoder.Decode(&document) != nil {
			return n
		}
	}
}
