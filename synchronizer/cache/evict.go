package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// kept is a record as it lies in the folder.
type kept struct {
	name    string
	size    int64
	used    time.Time
	content []digest.Digest
}

// makeRoom counts what there is, removes garbage, and evicts what was used longest ago
// until need bytes fit. The caller holds mu.
func (c *Cache) makeRoom(need int64) error {
	if err := c.removeUnready(); err != nil {
		return err
	}
	sizes, err := c.sizes()
	if err != nil {
		return err
	}
	records, err := c.records()
	if err != nil {
		return err
	}
	users := map[digest.Digest]int{}
	c.used = int64(len(c.id)) // the file that names the writer
	for _, r := range records {
		c.used += r.size
		for _, d := range r.content {
			users[d]++
		}
	}
	for d, size := range sizes {
		if users[d] > 0 || !c.removeContent(d, grace) {
			c.used += size
		}
	}
	pins := c.pins()
	for _, r := range records {
		if c.used+need <= c.size {
			return nil
		}
		if pins[r.name] || r.used.Before(c.opened) && time.Since(c.opened) < grace {
			continue
		}
		if err := c.root.Remove(path.Join(releases, r.name)); err != nil {
			return err
		}
		c.used -= r.size
		for _, d := range r.content {
			if users[d]--; users[d] == 0 && c.removeContent(d, 0) {
				c.used -= sizes[d]
			}
		}
	}
	if c.used+need > c.size {
		return fmt.Errorf("%w: what Deliveries run takes %d of its %d bytes, and %d more are needed; hint: give it more with --cache-size", ErrFull, c.used, c.size, need)
	}
	return nil
}

// removeUnready removes what crashed processes were writing.
func (c *Cache) removeUnready() error {
	return c.each(unready, func(name string, info fs.FileInfo) {
		if time.Since(info.ModTime()) > grace {
			_ = c.root.Remove(path.Join(unready, name)) // tried again next time
		}
	})
}

// removeContent removes what nobody has used for a while, and says whether it did.
func (c *Cache) removeContent(d digest.Digest, age time.Duration) bool {
	name := path.Join(contents, d.Encoded())
	info, err := c.root.Lstat(name)
	if err != nil || age > 0 && time.Since(info.ModTime()) < age {
		return errors.Is(err, fs.ErrNotExist)
	}
	return c.root.Remove(name) == nil
}

// sizes are those of all content.
func (c *Cache) sizes() (map[digest.Digest]int64, error) {
	sizes := map[digest.Digest]int64{}
	err := c.each(contents, func(name string, info fs.FileInfo) {
		sizes[digest.NewDigestFromEncoded(digest.SHA256, name)] = info.Size()
	})
	return sizes, err
}

// records are all that can be read, those that were used longest ago first.
func (c *Cache) records() ([]kept, error) {
	var all []kept
	err := c.each(releases, func(name string, info fs.FileInfo) {
		r, err := c.readRecord(path.Join(releases, name))
		if err != nil {
			_ = c.root.Remove(path.Join(releases, name)) // no reader would take it
			return
		}
		all = append(all, kept{name: name, size: info.Size(), used: info.ModTime(), content: r.Content})
	})
	slices.SortFunc(all, func(a, b kept) int { return a.used.Compare(b.used) })
	return all, err
}

// each goes over the files of a folder. Those that go meanwhile are passed over.
func (c *Cache) each(folder string, do func(name string, info fs.FileInfo)) error {
	entries, err := fs.ReadDir(c.root.FS(), folder)
	if err != nil {
		return fmt.Errorf("reading the cache: %w", err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			do(entry.Name(), info)
		}
	}
	return nil
}
