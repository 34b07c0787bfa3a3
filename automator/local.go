package automator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"sealift.dev/automator/edit"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/remote"
	"sealift.dev/internal/git"
)

// Preview says what a pass would write to the commit that is checked out in a local
// repository, and why not more. It reads no ledger, so cool-downs begin now and reverts are
// not known; it writes nothing. Of opts, Repo and Git play no part.
func Preview(ctx context.Context, dir string, opts Options) (Result, error) {
	opts.Repo, opts.DryRun = dir, true
	opts, err := opts.complete()
	if err != nil {
		return Result{}, err
	}
	repository, err := git.Open(dir)
	if err != nil {
		return Result{}, err
	}
	commit, err := repository.Resolve("HEAD")
	if err != nil {
		return Result{}, err
	}
	files, err := commit.Tree()
	if err != nil {
		return Result{}, err
	}
	files.KeepPointers = true
	branch, err := repository.Branch("HEAD")
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	a := &Automator{opts: opts, scans: newScans(), plain: map[string]bool{}, runs: 1}
	t := &turn{now: opts.Now(), branch: strings.TrimPrefix(branch, headsPrefix), tip: commit.Hash, tree: localTree{commit.Hash, files}, ledger: &ledger.Ledger{}}
	t.target, t.head = t.branch, t.tip
	if err := a.readTree(ctx, t); err != nil {
		return a.result(t), fmt.Errorf("HEAD of %s: %w", dir, err)
	}
	t.begin()
	result, err := a.finish(ctx, t)
	return result, errors.Join(err, failures(result.Images))
}

// localTree is the tree of a commit on disk.
type localTree struct {
	tip   string
	files *git.Tree
}

func (l localTree) Tip() string { return l.tip }

func (l localTree) Files(ctx context.Context, visit func(path, blob, odd string) error) error {
	return l.files.Files(ctx, func(path, blob string) error { return visit(path, blob, remote.OddPath(path)) })
}

func (l localTree) Find(path string) (blob string, err error) {
	data, err := l.files.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return remote.BlobID(data), err
}

func (l localTree) Read(ctx context.Context, blobs []string) (contents map[string][]byte, tooLarge []string, err error) {
	contents = map[string][]byte{}
	for _, blob := range blobs {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		data, err := l.files.Blob(blob, edit.MaxBytes)
		switch {
		case errors.Is(err, git.ErrTooLarge):
			tooLarge = append(tooLarge, blob)
		case err != nil:
			return nil, nil, err
		default:
			contents[blob] = data
		}
	}
	return contents, tooLarge, nil
}

func (l localTree) Diff(_ context.Context, files map[string][]byte) (string, error) {
	var changes []remote.FileChange
	for _, path := range slices.Sorted(maps.Keys(files)) {
		before, err := l.files.ReadFile(path)
		if err != nil {
			return "", err
		}
		changes = append(changes, remote.FileChange{Path: path, Before: before, After: files[path]})
	}
	return remote.Patch(changes)
}
