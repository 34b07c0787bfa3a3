package artifact

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxListed is how many names and manifests an index holds: the referrers of a
// release and the images of one.
const maxListed = maxReferrers + 5000

// writeIndex writes no index that could not be read again.
func (l *Layout) writeIndex(most int64) error {
	if len(l.index.Manifests) > maxListed {
		return fmt.Errorf("%s: more than %d manifests: %w", l, maxListed, ErrLimit)
	}
	return l.writeJSON(ocispec.ImageIndexFile, l.index, most)
}

func (l *Layout) writeJSON(name string, value any, most int64) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if int64(len(data)) > most {
		return fmt.Errorf("%s: %s would have more than %d bytes: %w", l, name, most, ErrLimit)
	}
	return l.write(name, bytes.NewReader(data))
}

// unfinished ends the name of a file that is being written.
const unfinished = ".part"

// write replaces a file at once, when all of its bytes are on the disk. Nobody
// else writes to the same unfinished file.
func (l *Layout) write(name string, content io.Reader) error {
	partial := name + "." + rand.Text() + unfinished
	file, err := l.root.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = l.root.Rename(partial, name)
	}
	if err != nil {
		return errors.Join(err, l.root.Remove(partial))
	}
	return nil
}

// isWhole says that a manifest is there undamaged, and all that it names.
func (l *Layout) isWhole(ctx context.Context, desc ocispec.Descriptor, depth int) (bool, error) {
	there, err := l.hasBlob(ctx, desc)
	if err != nil || !there {
		return false, err
	}
	data, err := l.readBounded(blobPath(desc.Digest), maxManifest)
	if err != nil {
		return false, err
	}
	n, err := parseNode(data, desc.MediaType)
	if err != nil || depth > maxNesting {
		return false, nil // who copies it again is told
	}
	for _, blob := range n.blobs {
		if there, err := l.hasBlob(ctx, blob); err != nil || !there {
			return false, err
		}
	}
	for _, child := range n.children {
		if there, err := l.isWhole(ctx, child, depth+1); err != nil || !there {
			return false, err
		}
	}
	return true, nil
}

// sweep removes what killed processes left unfinished, and no file that another
// process may still be writing.
func (l *Layout) sweep() error {
	const old = time.Hour
	for _, dir := range []string{".", blobFolder} {
		entries, err := fs.ReadDir(l.root.FS(), dir)
		if err != nil {
			return absentFolder(err)
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(entry.Name(), unfinished) || time.Since(info.ModTime()) < old {
				continue
			}
			if err := l.root.Remove(path.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func absentFolder(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (l *Layout) readJSON(name string, into any) error {
	data, err := l.readBounded(name, maxManifest)
	if err != nil {
		return err
	}
	if err := unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (l *Layout) readBounded(name string, limit int64) ([]byte, error) {
	file, err := l.openRegular(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", name, limit, ErrLimit)
	}
	return data, nil
}

// openRegular opens no pipe, which would never end, and nothing outside the folder.
func (l *Layout) openRegular(name string) (*os.File, error) {
	info, err := l.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return l.root.Open(name)
}

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}
