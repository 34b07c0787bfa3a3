package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"sealift.dev/test/stage"
)

const (
	// addressFile is what up prints; it is there while the stage is ready.
	addressFile = "addresses.sh"
	// lockFile holds the process id, and is locked as long as that process lives: an id that the
	// kernel gave to somebody else is never believed.
	lockFile = "pid"
)

// hold takes the lock until the returned file is closed or the process ends.
func hold(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(file, os.Getpid())
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("locking %s: %w", file.Name(), err)
	}
	return file, nil
}

// runs tells whether a living process holds the lock.
func runs(dir string) (bool, error) {
	file, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

func holder(dir string) (int, error) {
	data, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// writeAddresses appears at once and whole: up takes the file's presence for readiness.
func writeAddresses(dir string, s *stage.Stage, repository string) error {
	lines := fmt.Sprintf("export KUBECONFIG=%q\nexport REGISTRY=%q\nexport GIT=%q\nexport PATH=\"%s:$PATH\"\n",
		s.Kubeconfig, s.Registry.Host, repository, s.Bin)
	path := filepath.Join(dir, addressFile)
	if err := os.WriteFile(path+".new", []byte(lines), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func show(dir string) error {
	lines, err := os.ReadFile(filepath.Join(dir, addressFile))
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("the control plane is starting or stopping; hint: try again in a few seconds")
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(lines)
	return err
}
