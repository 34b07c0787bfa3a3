package folder

import (
	"fmt"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Lock keeps other processes from changing the folder until unlock is called, or
// the process ends. It waits for them.
func (f *Folder) Lock() (unlock func(), err error) {
	unlock, err = lockedfile.MutexAt(filepath.Join(f.store, "lock")).Lock()
	if err != nil {
		return nil, fmt.Errorf("locking the folder %q: %w", f.link, err)
	}
	return unlock, nil
}
