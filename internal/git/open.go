package git

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// maxPointer is how many bytes a file may have that says where a repository is.
const maxPointer = 64 << 10

// Open finds the repository that dir is in.
func Open(dir string) (*Repository, error) {
	files, err := findFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the Git repository %q: %w", dir, err)
	}
	// Objects may lie in other repositories on the same disk, as git clone --shared
	// and many CI servers arrange it.
	options := filesystem.Options{AlternatesFS: osfs.New("/")}
	store := filesystem.NewStorageWithOptions(files, cache.NewObjectLRUDefault(), options)
	repo, err := gogit.Open(storage{store}, nil)
	if errors.Is(err, gogit.ErrRepositoryNotExists) {
		return nil, fmt.Errorf("opening %q: no Git repository is there or above it; hint: run this in a clone", dir)
	}
	if errors.Is(err, gogit.ErrUnknownExtension) || errors.Is(err, gogit.ErrUnsupportedExtensionRepositoryFormatVersion) {
		return nil, fmt.Errorf("opening the Git repository %q: %w; hint: publish from a clone without it, as git clone makes one", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the Git repository %q: %w", dir, err)
	}
	return &Repository{dir: dir, repo: repo}, nil
}

// findFiles is the folder with the repository's files: .git in dir or above it, where
// .git says that it is, or else dir itself, which may be a bare repository.
func findFiles(dir string) (billy.Filesystem, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for {
		dotGit := filepath.Join(at, gogit.GitDirName)
		info, err := os.Stat(dotGit)
		switch {
		case err == nil && info.IsDir():
			return withCommon(dotGit)
		case err == nil:
			return followed(dotGit)
		case !errors.Is(err, os.ErrNotExist):
			return nil, err
		}
		if filepath.Dir(at) == at {
			return withCommon(dir)
		}
		at = filepath.Dir(at)
	}
}

// followed reads the .git of a linked working tree or of a submodule.
func followed(dotGit string) (billy.Filesystem, error) {
	text, err := readPointer(dotGit)
	if err != nil {
		return nil, err
	}
	to, ok := strings.CutPrefix(text, "gitdir: ")
	if !ok {
		return nil, fmt.Errorf("%q does not say where the repository is", dotGit)
	}
	return withCommon(joined(filepath.Dir(dotGit), to))
}

// withCommon adds the files that a linked working tree shares with its repository.
func withCommon(folder string) (billy.Filesystem, error) {
	common, err := readPointer(filepath.Join(folder, "commondir"))
	if errors.Is(err, os.ErrNotExist) {
		return osfs.New(folder), nil
	}
	if err != nil {
		return nil, err
	}
	common = joined(folder, common)
	if _, err := os.Stat(common); err != nil {
		return nil, err
	}
	return dotgit.NewRepositoryFilesystem(osfs.New(folder), osfs.New(common)), nil
}

func readPointer(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxPointer))
	return strings.TrimSpace(string(data)), err
}

func joined(folder, to string) string {
	if filepath.IsAbs(to) {
		return to
	}
	return filepath.Join(folder, to)
}

// storage hides the extensions that do not matter to who only reads objects and
// refs, because go-git refuses them: git sparse-checkout sets worktreeConfig.
type storage struct{ *filesystem.Storage }

// Config implements config.ConfigStorer.
func (s storage) Config() (*config.Config, error) {
	c, err := s.Storage.Config()
	if err != nil || !c.Raw.HasSection("extensions") {
		return c, err
	}
	section := c.Raw.Section("extensions")
	for _, option := range section.Options {
		switch name := strings.ToLower(option.Key); name {
		case "worktreeconfig", "partialclone", "preciousobjects":
			section.RemoveOption(option.Key)
		}
	}
	return c, nil
}
