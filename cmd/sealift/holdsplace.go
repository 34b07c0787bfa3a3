package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/remote"
)

const (
	defaultAuthor    = "Sealift"
	maxHoldsBytes    = 1 << 20
	maxHoldsAttempts = 10 // pushes before somebody else's are too many
	headsPrefix      = "refs/heads/"
)

// holdsPlace says where .sealift/images.yaml is: in a Git repository, or in a folder.
type holdsPlace struct {
	git    gitFlags
	dir    string
	author remote.Author
	config []byte // sealift.yaml, as change met it
}

func (at *holdsPlace) register(flags *pflag.FlagSet) {
	at.git.register(flags)
	flags.StringVar(&at.dir, "dir", "", "folder to read and write instead, without Git")
	flags.StringVar(&at.author.Name, "author-name", defaultAuthor, "author of the commit, and who holds (default for that: your user's name)")
	flags.StringVar(&at.author.Email, "author-email", "automator@sealift.dev", "author's e-mail address")
}

// holdsStore keeps the file.
type holdsStore interface {
	// read gives the file, nil where there is none, and the ledger, nil where none is seen.
	read(ctx context.Context) ([]byte, *ledger.Ledger, error)
	// config gives sealift.yaml beside it, nil where there is none.
	config(ctx context.Context) ([]byte, error)
	// write takes the place of what was read.
	write(ctx context.Context, data []byte, message string) error
}

func (at *holdsPlace) open(ctx context.Context) (holdsStore, func(), error) {
	switch {
	case at.git.repo == "" && at.dir == "":
		return nil, nil, usage(errors.New("say where: --repo URL, or --dir DIR"))
	case at.git.repo != "" && at.dir != "":
		return nil, nil, usage(errors.New("--repo and --dir exclude each other"))
	case at.dir != "":
		root, err := os.OpenRoot(at.dir)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the folder: %w", err)
		}
		return holdsFolder{root}, func() { _ = root.Close() }, nil // it was only read, or closed before
	}
	options, err := at.git.access.remote(at.git.repo, "", at.git.plainHTTP)
	if err != nil {
		return nil, nil, err
	}
	git, err := remote.Open(options)
	if err != nil {
		return nil, nil, err
	}
	store := &holdsRepository{git: git, branch: at.git.branch, author: at.author}
	if store.branch == "" {
		if store.branch, err = namedBranch(ctx, git); err != nil {
			git.Close()
			return nil, nil, err
		}
	}
	return store, git.Close, nil
}

func (at *holdsPlace) read(ctx context.Context) ([]byte, *ledger.Ledger, error) {
	store, done, err := at.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	return store.read(ctx)
}

// change edits the file; what comes too late is made again on the new tip.
func (at *holdsPlace) change(ctx context.Context, edit func([]byte, *ledger.Ledger) ([]byte, string, error)) error {
	store, done, err := at.open(ctx)
	if err != nil {
		return err
	}
	defer done()
	for attempt := 1; ; attempt++ {
		data, known, err := store.read(ctx)
		if err != nil {
			return err
		}
		if at.config, err = store.config(ctx); err != nil {
			return err
		}
		out, message, err := edit(data, known)
		if err != nil || bytes.Equal(out, data) {
			return err
		}
		err = store.write(ctx, out, message)
		if len(remote.Rejections(err)) == 0 || attempt == maxHoldsAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(mathrand.N(time.Duration(attempt) * 100 * time.Millisecond)):
		}
	}
}

// holdsRepository keeps the file at the tip of a branch.
type holdsRepository struct {
	git    *remote.Repository
	branch string
	author remote.Author
	tip    *remote.Snapshot // that was read
}

func (r *holdsRepository) read(ctx context.Context) ([]byte, *ledger.Ledger, error) {
	refs, err := r.git.Refs(ctx, headsPrefix+r.branch, ledger.Ref(r.branch), ledger.Branch(r.branch))
	if err != nil {
		return nil, nil, err
	}
	if refs[headsPrefix+r.branch] == "" {
		return nil, nil, fmt.Errorf("there is no branch %s; hint: --branch", oneLine(r.branch))
	}
	known := &ledger.Ledger{}
	for _, ref := range []string{ledger.Branch(r.branch), ledger.Ref(r.branch)} {
		if refs[ref] == "" {
			continue
		}
		data, _, err := readAt(ctx, r.git, refs[ref], ledger.File)
		if err != nil {
			return nil, nil, err
		}
		if known, err = ledger.Parse(data); err != nil {
			known = nil // sealift automate says so, and begins it anew
		}
	}
	data, tip, err := readAt(ctx, r.git, refs[headsPrefix+r.branch], hold.Path)
	r.tip = tip
	return data, known, err
}

func (r *holdsRepository) config(ctx context.Context) ([]byte, error) {
	data, _, err := readAt(ctx, r.git, r.tip.Tip(), v1alpha1.ConfigFile)
	return data, err
}

func (r *holdsRepository) write(ctx context.Context, data []byte, message string) error {
	commit, err := r.git.Commit(ctx, r.tip, map[string][]byte{hold.Path: data}, remote.Message{Author: r.author, Text: message})
	if err != nil {
		return err
	}
	return r.git.Push(ctx, []remote.Update{{Ref: headsPrefix + r.branch, Old: r.tip.Tip(), New: commit}}, remote.PushOptions{})
}

// readAt reads one file of a commit; nil: there is no such file.
func readAt(ctx context.Context, git *remote.Repository, id, name string) ([]byte, *remote.Snapshot, error) {
	snapshot, err := git.Snapshot(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	blob, err := snapshot.Find(name)
	if err != nil || blob == "" {
		return nil, snapshot, err
	}
	contents, tooLarge, err := snapshot.Read(ctx, []string{blob})
	if err == nil && len(tooLarge) > 0 {
		err = fmt.Errorf("reading %s: it is too large", name)
	}
	return contents[blob], snapshot, err
}

// namedBranch is the branch that sealift.yaml names on the default branch, else that.
func namedBranch(ctx context.Context, git *remote.Repository) (string, error) {
	name, err := git.DefaultBranch(ctx)
	if err != nil {
		return "", err
	}
	refs, err := git.Refs(ctx, headsPrefix+name)
	if err != nil {
		return "", err
	}
	data, _, err := readAt(ctx, git, refs[headsPrefix+name], v1alpha1.ConfigFile)
	if err != nil || data == nil {
		return name, err
	}
	var config struct {
		Automate struct {
			Branch string `json:"branch"`
		} `json:"automate"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("reading %s: %w; hint: --branch", v1alpha1.ConfigFile, err)
	}
	if config.Automate.Branch != "" {
		name = config.Automate.Branch
	}
	return name, nil
}

// holdsFolder keeps the file in a folder.
type holdsFolder struct{ root *os.Root }

func (f holdsFolder) read(context.Context) ([]byte, *ledger.Ledger, error) {
	data, err := f.file(hold.Path)
	return data, nil, err
}

func (f holdsFolder) config(context.Context) ([]byte, error) { return f.file(v1alpha1.ConfigFile) }

// file is one of the folder's; nil: there is none.
func (f holdsFolder) file(name string) ([]byte, error) {
	info, err := f.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("reading %s: it is no regular file", name)
	case info.Size() > maxHoldsBytes:
		return nil, fmt.Errorf("reading %s: it has %d bytes, more than %d", name, info.Size(), maxHoldsBytes)
	}
	return f.root.ReadFile(name)
}

// write puts the whole file in place at once.
func (f holdsFolder) write(_ context.Context, data []byte, _ string) error {
	if err := f.root.MkdirAll(path.Dir(hold.Path), 0o755); err != nil {
		return err
	}
	staged := hold.Path + "-" + rand.Text()
	if err := f.root.WriteFile(staged, data, 0o644); err != nil {
		return err
	}
	if err := f.root.Rename(staged, hold.Path); err != nil {
		return errors.Join(err, f.root.Remove(staged))
	}
	return nil
}
