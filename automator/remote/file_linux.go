package remote

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// asFile gives content a file's name, on no disk: a container may have none to write to.
func asFile(content []byte) (name string, remove func() error, err error) {
	fd, err := unix.MemfdCreate("sealift", unix.MFD_CLOEXEC)
	if err != nil {
		return "", nil, fmt.Errorf("making a file in memory: %w", err)
	}
	name = fmt.Sprintf("/proc/self/fd/%d", fd)
	file := os.NewFile(uintptr(fd), name)
	if _, err := file.Write(content); err != nil {
		return "", nil, errors.Join(err, file.Close())
	}
	return name, file.Close, nil
}
