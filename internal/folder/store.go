package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// mark is the file that tells a store from a folder that somebody else has there:
// old versions are removed from a store, and the store of config is .config.
const mark = ".sealift"

// openStore makes a store of nothing or of an empty folder, and opens no folder
// that is not one.
func openStore(store string) error {
	if err := os.MkdirAll(filepath.Dir(store), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(store, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Lstat(store); err != nil || !info.IsDir() {
		return errors.Join(err, fmt.Errorf("versions are kept in %q, which is no folder; hint: name another folder", store))
	}
	if marked(store) {
		return nil
	}
	entries, err := os.ReadDir(store)
	if err != nil {
		return err
	}
	if len(entries) > 0 && !marked(store) { // another process may have marked it meanwhile
		return fmt.Errorf("versions are kept in %q, which is there and was not made by sealift; hint: name another folder", store)
	}
	file, err := os.OpenFile(filepath.Join(store, mark), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), syncFolder(store))
}

func marked(store string) bool {
	info, err := os.Lstat(filepath.Join(store, mark))
	return err == nil && info.Mode().IsRegular()
}
