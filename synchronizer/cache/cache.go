// Package cache keeps verified releases in a folder, so that what runs can be
// verified, applied and gone back to while its registry is down.
//
// Content lies under its digest, once for all, and is hashed whenever it is read. It
// is found only by the record of a release, and a record is for one namespace: its
// Deliveries have read that release from the registry with credentials of their own.
// Deliveries of one namespace may name each other's pull secrets, so that they have no
// secrets from each other; another namespace has to read the release itself.
package cache

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
)

// DefaultSize is the bound, in bytes, of a cache whose options name none.
const DefaultSize = 1 << 30

const (
	contents = "sha256"   // folder: files by the digest of what is in them
	releases = "releases" // folder: records
	unready  = "new"      // folder: files that are being written
	writer   = "writer"   // file: which process wrote last

	maxRecord = 8 << 20 // bytes
	// grace is how long nothing of another process is taken for garbage, and what an
	// earlier one kept is not evicted: Deliveries have not said yet what they run.
	grace = 10 * time.Minute
)

// ErrFull says that there is no room besides what Deliveries run.
var ErrFull = errors.New("the cache is full")

// Cache is a folder of verified releases. It is safe for concurrent use, also by
// several processes: files are complete when they get their names.
type Cache struct {
	id     string // of this process
	root   *os.Root
	size   int64
	opened time.Time

	mu   sync.Mutex // held while the folder changes
	used int64

	pinning sync.Mutex
	pinned  map[string][]string // names of records, by Delivery
}

// Open uses a folder, and makes it where it is missing. What a crash left behind is
// removed. A size of zero is DefaultSize.
func Open(dir string, size int64) (*Cache, error) {
	act := fmt.Sprintf("opening the cache %q", dir)
	if size <= 0 {
		size = DefaultSize
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%s: %w", act, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", act, err)
	}
	c := &Cache{id: rand.Text(), root: root, size: size, opened: time.Now(), pinned: map[string][]string{}}
	for _, folder := range []string{contents, releases, unready} {
		if err := root.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, errors.Join(fmt.Errorf("%s: %w", act, err), root.Close())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.makeRoom(0); err != nil && !errors.Is(err, ErrFull) {
		return nil, errors.Join(fmt.Errorf("%s: %w", act, err), root.Close())
	}
	return c, nil
}

// record is what it took to verify and unpack a release, and who may use it.
type record struct {
	Namespace, Release string
	Content            []digest.Digest
	// Referrers are the answers to questions for them, Tags those for what has a tag.
	Referrers map[string][]ocispec.Descriptor
	Tags      map[string]digest.Digest
}

// nameOf is the name of the record of a release for a namespace.
func nameOf(namespace, release string) string {
	sum := sha256.Sum256([]byte(namespace + "\x00" + release))
	return hex.EncodeToString(sum[:])
}

// Pin names the releases that a Delivery, NAMESPACE/NAME, cannot do without; those that
// it pinned before may be evicted. None lets go of all.
func (c *Cache) Pin(delivery, namespace string, refs ...artifact.Ref) {
	c.pinning.Lock()
	defer c.pinning.Unlock()
	delete(c.pinned, delivery)
	for _, ref := range refs {
		c.pinned[delivery] = append(c.pinned[delivery], nameOf(namespace, ref.String()))
	}
}

// find reads a record. A record that cannot be read, or is not what its name says, is
// removed.
func (c *Cache) find(namespace string, ref artifact.Ref) (record, bool) {
	name := path.Join(releases, nameOf(namespace, ref.String()))
	r, err := c.readRecord(name)
	if err != nil || r.Namespace != namespace || r.Release != ref.String() {
		if !errors.Is(err, fs.ErrNotExist) {
			_ = c.root.Remove(name) // what stays is no use, and no harm
		}
		return record{}, false
	}
	now := time.Now()
	_ = c.root.Chtimes(name, now, now) // at worst it is evicted sooner
	return r, true
}

// readRecord reads a record behind its own hash.
func (c *Cache) readRecord(name string) (record, error) {
	data, err := c.readFile(name, maxRecord)
	if err != nil {
		return record{}, err
	}
	if len(data) < sha256.Size || sha256.Sum256(data[sha256.Size:]) != [sha256.Size]byte(data[:sha256.Size]) {
		return record{}, errors.New("a record with another hash")
	}
	var r record
	if err := json.Unmarshal(data[sha256.Size:], &r); err != nil {
		return record{}, err
	}
	for _, d := range r.Content {
		if d.Validate() != nil || d.Algorithm() != digest.SHA256 {
			return record{}, fmt.Errorf("a record of %q", d)
		}
	}
	return r, nil
}

func (r record) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	return append(sum[:], data...), nil
}

// content reads what has a digest. What has another by now is removed.
func (c *Cache) content(d digest.Digest, limit int64) ([]byte, error) {
	name := path.Join(contents, d.Encoded())
	data, err := c.readFile(name, limit)
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(data) != d {
		_ = c.root.Remove(name) // the next reader would refuse it, too
		return nil, fmt.Errorf("%s: %w", d, artifact.ErrCorrupt)
	}
	return data, nil
}

func (c *Cache) readFile(name string, limit int64) ([]byte, error) {
	info, err := c.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes of %s: %w", name, info.Size(), info.Mode().Type(), artifact.ErrLimit)
	}
	return c.root.ReadFile(name)
}

// writeFile gives a file its name once it is whole and on the disk.
func (c *Cache) writeFile(name string, data []byte) (err error) {
	temporary := path.Join(unready, rand.Text())
	file, err := c.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = c.root.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, c.root.Remove(temporary))
	}
	return nil
}

// keep stores a record and the content that is at hand; the rest must be there.
func (c *Cache) keep(r record, at map[digest.Digest][]byte) error {
	act := "keeping " + r.Release
	c.mu.Lock()
	defer c.mu.Unlock()
	encoded, err := r.encode()
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	if len(encoded) > maxRecord {
		return fmt.Errorf("%s: its record has more than %d bytes: %w", act, maxRecord, artifact.ErrLimit)
	}
	missing, need := []digest.Digest{}, int64(len(encoded))
	for _, d := range r.Content {
		if c.has(d) {
			continue
		}
		if at[d] == nil {
			return nil // it was read by somebody else, and is not kept
		}
		missing, need = append(missing, d), need+int64(len(at[d]))
	}
	alone, err := c.alone()
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	if !alone || c.used+need > c.size {
		if err := c.makeRoom(need); err != nil {
			return fmt.Errorf("%s: %w", act, err)
		}
	}
	for _, d := range missing {
		if err := c.writeFile(path.Join(contents, d.Encoded()), at[d]); err != nil {
			return fmt.Errorf("%s: %w", act, err)
		}
		c.used += int64(len(at[d]))
	}
	if err := c.writeFile(path.Join(releases, nameOf(r.Namespace, r.Release)), encoded); err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	c.used += int64(len(encoded))
	return nil
}

// alone says that no other process wrote since this one did, so that what is counted
// holds, and makes this the last one that wrote.
func (c *Cache) alone() (bool, error) {
	last, err := c.readFile(writer, int64(len(c.id)))
	if err == nil && string(last) == c.id {
		return true, nil
	}
	return false, c.writeFile(writer, []byte(c.id))
}

// pins are the names of the records that Deliveries cannot do without.
func (c *Cache) pins() map[string]bool {
	c.pinning.Lock()
	defer c.pinning.Unlock()
	pins := map[string]bool{}
	for _, names := range c.pinned {
		for _, name := range names {
			pins[name] = true
		}
	}
	return pins
}

// has says that content lies in the folder; whether it is whole, its reader says.
func (c *Cache) has(d digest.Digest) bool {
	info, err := c.root.Lstat(path.Join(contents, d.Encoded()))
	return err == nil && info.Mode().IsRegular()
}
