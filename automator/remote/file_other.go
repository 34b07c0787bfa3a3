//go:build !linux

package remote

import (
	"errors"
	"fmt"
	"os"
)

// asFile gives content a file's name.
func asFile(content []byte) (name string, remove func() error, err error) {
	file, err := os.CreateTemp("", "sealift")
	if err != nil {
		return "", nil, fmt.Errorf("%w; hint: set TMPDIR to a folder that can be written to", err)
	}
	remove = func() error { return os.Remove(file.Name()) }
	_, err = file.Write(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return file.Name(), remove, nil
}
