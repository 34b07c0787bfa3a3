package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (l *Layout) writeIndex() error { return l.writeJSON(ocispec.ImageIndexFile, l.index) }

func (l *Layout) writeJSON(name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return l.write(name, bytes.NewReader(data))
}

// write replaces a file at once, when all of its bytes are on the disk.
func (l *Layout) write(name string, content io.Reader) error {
	partial := name + ".part"
	file, err := l.root.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
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
