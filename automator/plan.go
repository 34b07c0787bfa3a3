package automator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/google/go-containerregistry/pkg/name"
)

// Limits of what is read from a commit.
const (
	maxFileBytes   = 1 << 20
	maxMarkedBytes = 64 << 20 // of all files with markers
)

// plan is what one pass wants to write, and what it leaves alone.
type plan struct {
	files   map[string][]byte
	changes []Change
	notes   []Note
	marked  map[string]bool // policies that have a marker somewhere
}

// planEdits runs the edits over every marked file of a commit. It writes nothing.
func planEdits(ctx context.Context, objects storer.EncodedObjectStorer, commit *object.Commit, c config, known images) (*plan, error) {
	tree, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("reading the tree of %s: %w", commit.Hash, err)
	}
	policies := map[string]policy{}
	for _, img := range c.images {
		policies[img.policy] = policy{repo: img.repo, candidates: known[img].candidates}
	}
	p := &planner{
		plan:    &plan{files: map[string][]byte{}, marked: map[string]bool{}},
		objects: objects, policies: policies, plain: map[plumbing.Hash]bool{}, left: maxMarkedBytes,
	}
	w := &walker{objects: objects, visit: p.planFile}
	if err := w.walk(ctx, tree, "", 0); err != nil {
		return nil, fmt.Errorf("reading the tree of %s: %w", commit.Hash, err)
	}
	return p.plan, nil
}

// planner fills a plan, file by file.
type planner struct {
	*plan
	objects  storer.EncodedObjectStorer
	policies map[string]policy
	plain    map[plumbing.Hash]bool // contents known to have no markers
	left     int                    // bytes of marked files
}

func (p *planner) planFile(name string, entry object.TreeEntry) error {
	if p.plain[entry.Hash] {
		return nil
	}
	if odd := oddName(name); odd != "" {
		p.notes = append(p.notes, Note{File: name, Reason: odd})
		return nil
	}
	data, err := readBlob(p.objects, entry.Hash)
	if errors.Is(err, errTooLarge) {
		p.notes = append(p.notes, Note{File: name, Reason: err.Error()})
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if !isMarked(path.Base(name), data) {
		p.plain[entry.Hash] = true
		return nil
	}
	if p.left -= len(data); p.left < 0 {
		return fmt.Errorf("its files with markers have more than %d bytes together", maxMarkedBytes)
	}
	p.planMarked(name, data)
	return nil
}

// planMarked edits one file; what cannot be edited becomes a note.
func (p *planner) planMarked(name string, data []byte) {
	f := fileEdit{plan: p.plan, name: name, policies: p.policies}
	out, changed, err := editFile(data, f.decide)
	if err != nil {
		p.notes = append(p.notes, Note{File: name, Reason: err.Error()})
		return
	}
	p.notes = append(p.notes, f.notes...)
	if len(changed) == 0 {
		return
	}
	p.files[name] = out
	for _, s := range changed {
		c := f.values[s.node]
		p.changes = append(p.changes, Change{File: name, Line: s.line, Image: s.marker.policy, Tag: c.tag, Old: s.value, New: c.text})
	}
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
		value = chosen{text: p.name(s.value)}
	case partTag:
		value, reason = p.choose("", s.value)
	case partRef:
		value, reason = p.reference(s.value)
	}
	if s.problem != "" && (reason != "" || value.text != s.value) {
		reason = s.problem
	}
	return value, reason
}

// name is the repository, as old spells it if old is the same.
func (p policy) name(old string) string {
	if sameRepository(old, p.repo) {
		return old
	}
	return p.repo
}

// reference chooses the tag behind a repository, whose spelling stays.
func (p policy) reference(old string) (chosen, string) {
	if strings.Contains(old, "@") {
		return p.choose("", old)
	}
	repository, tag := old, ""
	if colon := strings.LastIndexByte(old, ':'); colon > strings.LastIndexByte(old, '/') {
		repository, tag = old[:colon], old[colon+1:]
	}
	switch {
	case !sameRepository(repository, p.repo):
		return chosen{}, fmt.Sprintf("the value is of another repository than %s", p.repo)
	case tag == "":
		return chosen{}, "the value has no tag to compare with"
	}
	return p.choose(repository+":", tag)
}

// choose picks the tag that goes behind prefix in place of current.
func (p policy) choose(prefix, current string) (chosen, string) {
	if strings.Contains(current, "@") {
		return chosen{}, "the value is pinned by digest, and digests are not renewed"
	}
	if _, err := semver.NewVersion(current); err != nil {
		return chosen{}, fmt.Sprintf("%q is no version to compare with", current)
	}
	tag, reason := p.candidates.choose(current)
	return chosen{text: prefix + tag, tag: tag}, reason
}

// sameRepository compares what names mean: nginx is docker.io/library/nginx.
func sameRepository(a, b string) bool {
	x, err := name.NewRepository(a)
	if err != nil {
		return false
	}
	y, err := name.NewRepository(b)
	return err == nil && strings.EqualFold(x.Name(), y.Name())
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
func readRegular(objects storer.EncodedObjectStorer, commit *object.Commit, name string) ([]byte, error) {
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
	return readBlob(objects, entry.Hash)
}

func readBlob(objects storer.EncodedObjectStorer, hash plumbing.Hash) ([]byte, error) {
	blob, err := object.GetBlob(objects, hash)
	// The server was asked to leave out what is larger.
	if errors.Is(err, plumbing.ErrObjectNotFound) || err == nil && blob.Size > maxFileBytes {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, err
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxFileBytes))
}

func isRegular(mode filemode.FileMode) bool {
	return mode == filemode.Regular || mode == filemode.Executable || mode == filemode.Deprecated
}
