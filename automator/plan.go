package automator

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Limits of what is read from a commit.
const (
	maxFileBytes = 1 << 20
	maxFiles     = 500_000
)

// plan is what one pass wants to write, and what it leaves alone.
type plan struct {
	files   map[string][]byte
	changes []Change
	notes   []Note
	marked  map[string]bool // policies that have a marker somewhere
}

// planEdits runs the edits over every marked file of a commit. It writes nothing.
func planEdits(commit *object.Commit, c config, known images) (*plan, error) {
	tree, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("reading the tree of %s: %w", commit.Hash, err)
	}
	p := &plan{files: map[string][]byte{}, marked: map[string]bool{}}
	policies := map[string]policy{}
	for _, img := range c.images {
		policies[img.policy] = policy{repo: img.repo, candidates: known[img].candidates}
	}
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	for files := 0; ; files++ {
		name, entry, err := walker.Next()
		if err == io.EOF {
			return p, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the tree of %s: %w", commit.Hash, err)
		}
		if files == maxFiles {
			return nil, fmt.Errorf("reading the tree of %s: it has more than %d files", commit.Hash, maxFiles)
		}
		if !isRegular(entry.Mode) || !isTarget(path.Base(name)) {
			continue
		}
		if err := p.planFile(tree, name, entry, policies); err != nil {
			return nil, err
		}
	}
}

func (p *plan) planFile(tree *object.Tree, name string, entry object.TreeEntry, policies map[string]policy) error {
	data, err := readEntry(tree, entry)
	if errors.Is(err, errTooLarge) {
		p.notes = append(p.notes, Note{File: name, Reason: err.Error()})
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if !isMarked(path.Base(name), data) {
		return nil
	}
	f := fileEdit{plan: p, name: name, policies: policies}
	out, changed, err := edit(data, f.decide)
	if err != nil {
		p.notes = append(p.notes, Note{File: name, Reason: err.Error()})
		return nil
	}
	p.notes = append(p.notes, f.notes...)
	if len(changed) == 0 {
		return nil
	}
	p.files[name] = out
	for _, s := range changed {
		c := f.values[s.node]
		p.changes = append(p.changes, Change{File: name, Line: s.line, Image: s.marker.policy, Tag: c.tag, Old: s.value, New: c.text})
	}
	return nil
}

// policy is what a marker may refer to. Nil candidates: the tags are unknown.
type policy struct {
	repo       string
	candidates *candidates
}

// chosen is what a marked scalar should hold. Its tag is empty where only the
// repository is written.
type chosen struct{ text, tag string }

// fileEdit decides about the marked values of one file.
type fileEdit struct {
	plan     *plan
	name     string
	policies map[string]policy
	values   map[int]chosen // by the scalar's node
	notes    []Note
}

func (f *fileEdit) decide(all []scalar) []string {
	f.values = map[int]chosen{}
	digests := map[string]bool{}
	for _, s := range all {
		digests[s.marker.policy] = digests[s.marker.policy] || s.marker.part == partDigest
	}
	values := make([]string, len(all))
	for i, s := range all {
		policy, ok := f.policies[s.marker.policy]
		if !ok {
			continue // somebody else's marker
		}
		f.plan.marked[s.marker.policy] = true
		if policy.candidates == nil || policy.candidates.best == nil {
			continue // reported once, with the image
		}
		value, reason := policy.value(s, digests[s.marker.policy])
		if reason != "" {
			f.notes = append(f.notes, Note{File: f.name, Line: s.line, Image: s.marker.policy, Reason: reason})
			continue
		}
		f.values[s.node], values[i] = value, value.text
	}
	return values
}

// value is what a marked scalar should hold, or the reason to leave it alone.
func (p policy) value(s scalar, hasDigest bool) (value chosen, reason string) {
	if hasDigest {
		return chosen{}, "a :digest marker of this image is in the file, and digests are not renewed"
	}
	switch s.marker.part {
	case partName:
		value = chosen{text: p.repo}
	case partTag:
		value, reason = p.choose("", s.value)
	case partRef:
		value, reason = p.choose(p.repo+":", s.value)
	}
	if reason == "" && s.problem != "" && value.text != s.value {
		reason = s.problem
	}
	return value, reason
}

// choose picks the tag that goes behind prefix.
func (p policy) choose(prefix, old string) (chosen, string) {
	if strings.Contains(old, "@") {
		return chosen{}, "the value is pinned by digest, and digests are not renewed"
	}
	current, sameRepository := strings.CutPrefix(old, prefix)
	if !sameRepository {
		current = "" // another repository's tag says nothing about this one's
	}
	tag, reason := p.candidates.choose(current)
	return chosen{text: prefix + tag, tag: tag}, reason
}

// report sums up what became of each image.
func report(c config, known images, p *plan) []ImageReport {
	reports := make([]ImageReport, 0, len(c.images))
	for _, img := range c.images {
		r := ImageReport{Name: img.policy, Image: img.repo}
		switch found := known[img]; {
		case found.err != nil:
			r.Err = found.err
			r.Reason = found.err.Error()
		default:
			r.Tag, r.Tags = found.candidates.newest(), found.candidates.seen
			if r.Tag == "" {
				_, r.Reason = found.candidates.choose("")
			} else if !p.marked[img.policy] {
				r.Reason = fmt.Sprintf("no file has its marker # {%s: %q}", markerKey, img.policy)
			}
		}
		reports = append(reports, r)
	}
	return reports
}

var errTooLarge = fmt.Errorf("the file is larger than %d bytes", maxFileBytes)

// readRegular reads one file of a commit. Symbolic links are not followed.
func readRegular(commit *object.Commit, name string) ([]byte, error) {
	tree, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	entry, err := tree.FindEntry(name)
	if err != nil {
		return nil, err
	}
	if !isRegular(entry.Mode) {
		return nil, errors.New("it is not a regular file")
	}
	return readEntry(tree, *entry)
}

func readEntry(tree *object.Tree, entry object.TreeEntry) ([]byte, error) {
	file, err := tree.TreeEntryFile(&entry)
	// The server was asked to leave out what is larger.
	if errors.Is(err, plumbing.ErrObjectNotFound) || err == nil && file.Size > maxFileBytes {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, err
	}
	r, err := file.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxFileBytes))
}

func isRegular(mode filemode.FileMode) bool {
	return mode == filemode.Regular || mode == filemode.Executable || mode == filemode.Deprecated
}
