package worktree

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
)

// Write writes the files of a plan, each as a whole. All of them are on the disk before
// the first takes its place, so an error leaves every file as it was, unless it comes from
// the renaming itself; then it says how many are new. A file that is not what was planned
// with any more is such an error.
func (t *Tree) Write(p *Plan) error {
	var staged []string
	defer func() {
		for _, name := range staged {
			_ = t.root.Remove(name) // what could not be put in place
		}
	}()
	for _, file := range p.Files {
		name := path.Join(path.Dir(file.Path), ".sealift-"+rand.Text())
		staged = append(staged, name)
		if err := t.stage(file, name); err != nil {
			return fmt.Errorf("writing %q: %w; nothing was changed", file.Path, err)
		}
	}
	for i, file := range p.Files {
		if err := t.root.Rename(staged[i], file.Path); err != nil {
			staged = staged[i:]
			return fmt.Errorf("writing %q: %w; %d of %d files were changed", file.Path, err, i, len(p.Files))
		}
	}
	staged = nil
	return nil
}

// stage writes the new content under another name beside the file.
func (t *Tree) stage(file File, name string) error {
	now, err := t.read(file.Path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now.Before, file.Before) {
		return errors.New("it has changed meanwhile; hint: run it again")
	}
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(file.After)
	// The mode of creation is subject to the umask.
	return errors.Join(err, f.Chmod(now.Mode), f.Sync(), f.Close())
}
