// Package folder keeps a folder that is replaced as a whole: who reads it sees
// all of the old content or all of the new, also after a crash.
package folder

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sealift.dev/internal/objects"
)

// Folder is a symbolic link to one of the versions beside it. For /srv/shop they
// are in its store, /srv/.shop: a folder for each version, and the file state.json.
type Folder struct {
	link  string
	store string
}

const (
	stateFile = "state.json"
	partial   = "new-" // begins the name of what is not finished
	maxState  = 1 << 20
)

// Open takes a path at which there is nothing, an empty folder, or a Folder.
func Open(at string) (*Folder, error) {
	link, err := filepath.Abs(at)
	if err != nil {
		return nil, fmt.Errorf("opening the folder %q: %w", at, err)
	}
	name := filepath.Base(link)
	if name == string(filepath.Separator) {
		return nil, fmt.Errorf("opening the folder %q: it cannot be replaced; hint: name a folder in it", at)
	}
	f := &Folder{link: link, store: filepath.Join(filepath.Dir(link), "."+name)}
	if err := f.checkLink(); err != nil {
		return nil, fmt.Errorf("opening the folder %q: %w", at, err)
	}
	if err := openStore(f.store); err != nil {
		return nil, fmt.Errorf("opening the folder %q: %w", at, err)
	}
	return f, nil
}

// checkLink leaves alone what is not ours.
func (f *Folder) checkLink() error {
	info, err := os.Lstat(f.link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(f.link)
		if err != nil {
			return err
		}
		if filepath.Dir(target) != filepath.Base(f.store) {
			return fmt.Errorf("it is a link to %q, which is not ours to replace; hint: name another folder", target)
		}
		return nil
	case !info.IsDir():
		return errors.New("it is a file; hint: name another folder")
	}
	if entries, err := os.ReadDir(f.link); err != nil || len(entries) > 0 {
		return errors.Join(err, errors.New("it is a folder with something in it, which cannot be replaced at once; hint: name a new folder"))
	}
	return nil
}

// Path is where the content is read.
func (f *Folder) Path() string { return f.link }

// Current is the version that is shown; empty before the first.
func (f *Folder) Current() (string, error) {
	info, err := os.Lstat(f.link)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return "", nil
	}
	target, err := os.Readlink(f.link)
	if err != nil {
		return "", fmt.Errorf("reading the link %q: %w", f.link, err)
	}
	return filepath.Base(target), nil
}

// Shows says that a version is what is read now.
func (f *Folder) Shows(version string) bool {
	current, err := f.Current()
	return err == nil && current == version && f.has(version)
}

// Show makes files the content, as a version of that name, which stands for
// them: a version that is there is not written again. The version before stays
// for those who still read it; older ones go.
func (f *Folder) Show(version string, files []objects.File) (changed bool, err error) {
	before, err := f.Current()
	if err != nil {
		return false, err
	}
	if f.Shows(version) {
		return false, nil
	}
	if err := f.write(version, files); err != nil {
		return false, fmt.Errorf("writing %q: %w", filepath.Join(f.store, version), err)
	}
	if err := f.point(version); err != nil {
		return false, fmt.Errorf("replacing %q: %w", f.link, err)
	}
	return true, f.sweep(version, before)
}

// has says that a version is there: nothing but a whole one has its name.
func (f *Folder) has(version string) bool {
	_, err := os.Lstat(filepath.Join(f.store, version))
	return err == nil
}

// write makes a version under another name, and renames it when it is on the disk.
func (f *Folder) write(version string, files []objects.File) error {
	if f.has(version) {
		return nil
	}
	made, err := os.MkdirTemp(f.store, partial)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(made)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, file := range files {
		if err := writeFile(root, file); err != nil {
			return err
		}
	}
	if err := syncFolders(root); err != nil {
		return err
	}
	if err := os.Chmod(made, 0o755); err != nil { // MkdirTemp lets nobody else in
		return err
	}
	if err := os.Rename(made, filepath.Join(f.store, version)); err != nil {
		return err
	}
	return syncFolder(f.store)
}

func writeFile(root *os.Root, file objects.File) error {
	if err := root.MkdirAll(path.Dir(file.Path), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(file.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = out.Write(file.Data)
	return errors.Join(err, out.Sync(), out.Close())
}

// point replaces the link by renaming a new one over it.
func (f *Folder) point(version string) error {
	made := filepath.Join(f.store, partial+rand.Text())
	if err := os.Symlink(filepath.Join(filepath.Base(f.store), version), made); err != nil {
		return err
	}
	if info, err := os.Lstat(f.link); err == nil && info.IsDir() {
		if err := os.Remove(f.link); err != nil { // removes an empty folder only
			return err
		}
	}
	if err := os.Rename(made, f.link); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(f.link))
}

// sweep removes versions, and what a crash left; of the files only unfinished ones.
func (f *Folder) sweep(keep ...string) error {
	entries, err := os.ReadDir(f.store)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		kept := !entry.IsDir() && !strings.HasPrefix(name, partial)
		for _, version := range keep {
			kept = kept || name == version
		}
		if kept {
			continue
		}
		if err := os.RemoveAll(filepath.Join(f.store, name)); err != nil {
			return fmt.Errorf("removing an old version: %w", err)
		}
	}
	return nil
}

// State is what Remember was told last; nil before the first time.
func (f *Folder) State() ([]byte, error) {
	info, err := os.Lstat(filepath.Join(f.store, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxState) {
		err = fmt.Errorf("it is no file of at most %d bytes", maxState)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(filepath.Join(f.store, stateFile))
	}
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", filepath.Join(f.store, stateFile), err)
	}
	return data, nil
}

// Remember keeps state beside the versions.
func (f *Folder) Remember(state []byte) error {
	root, err := os.OpenRoot(f.store)
	if err != nil {
		return err
	}
	defer root.Close()
	made := partial + rand.Text()
	if err := writeFile(root, objects.File{Path: made, Data: state}); err != nil {
		return fmt.Errorf("writing %q: %w", stateFile, err)
	}
	if err := root.Rename(made, stateFile); err != nil {
		return fmt.Errorf("writing %q: %w", stateFile, err)
	}
	return syncFolder(f.store)
}

func syncFolders(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncFolder(filepath.Join(root.Name(), name))
	})
}

// syncFolder brings the names in a folder to the disk.
func syncFolder(dir string) error {
	opened, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
