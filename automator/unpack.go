package automator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"
)

// packLimits bound a pack by what is in it: a few bytes inflate to a thousand
// times as many.
type packLimits struct {
	objects int   // in one pack
	object  int64 // bytes of one object
	total   int64 // bytes of all objects, and of the deltas they come as
}

func defaultPackLimits() packLimits {
	return packLimits{objects: 1_000_000, object: 64 << 20, total: 256 << 20}
}

// delta is an object that is stored as the difference from another.
type delta struct {
	offset int64
	data   []byte
}

// unpacker inflates a pack to memory. Each size is checked before its bytes are
// inflated.
type unpacker struct {
	limits   packLimits
	to       *memory.Storage
	total    int64
	buffer   bytes.Buffer // of the object that is read
	byOffset map[int64]plumbing.Hash
	// Deltas whose base has not come yet.
	forOffset map[int64][]delta
	forHash   map[plumbing.Hash][]delta
	waiting   int
}

// unpack stores the objects of a pack, but no file that is too large to edit.
func unpack(ctx context.Context, pack io.Reader, to *memory.Storage, limits packLimits) error {
	u := &unpacker{
		limits: limits, to: to, byOffset: map[int64]plumbing.Hash{},
		forOffset: map[int64][]delta{}, forHash: map[plumbing.Hash][]delta{},
	}
	scanner := packfile.NewScanner(pack)
	_, count, err := scanner.Header()
	if err != nil {
		return err
	}
	if int64(count) > int64(limits.objects) {
		return fmt.Errorf("it has %d objects, more than %d", count, limits.objects)
	}
	for range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := u.next(ctx, scanner); err != nil {
			return err
		}
	}
	if _, err := scanner.Checksum(); err != nil {
		return err
	}
	if u.waiting > 0 {
		return fmt.Errorf("the pack lacks what %d of its deltas are based on", u.waiting)
	}
	u.dropLarge()
	return nil
}

// next reads one object.
func (u *unpacker) next(ctx context.Context, scanner *packfile.Scanner) error {
	header, err := scanner.NextObjectHeader()
	if err != nil {
		return err
	}
	if err := u.spend(header.Length); err != nil {
		return err
	}
	u.buffer.Reset()
	n, _, err := scanner.NextObject(&u.buffer)
	if err != nil {
		return err
	}
	if n != header.Length {
		return fmt.Errorf("an object has %d bytes instead of the %d declared", n, header.Length)
	}
	if header.Type.IsDelta() {
		return u.nextDelta(ctx, header)
	}
	hash, err := u.store(header.Type, header.Offset, u.buffer.Bytes())
	if err != nil {
		return err
	}
	return u.release(ctx, header.Offset, hash)
}

// nextDelta resolves the delta in the buffer, or lets it wait for its base.
func (u *unpacker) nextDelta(ctx context.Context, header *packfile.ObjectHeader) error {
	d := delta{offset: header.Offset, data: u.buffer.Bytes()}
	base := header.Reference
	if header.Type == plumbing.OFSDeltaObject {
		base = u.byOffset[header.OffsetReference]
	}
	if _, ok := u.to.Objects[base]; ok {
		hash, err := u.patch(base, d)
		if err != nil {
			return err
		}
		return u.release(ctx, d.offset, hash)
	}
	d.data = bytes.Clone(d.data)
	u.waiting++
	if header.Type == plumbing.OFSDeltaObject {
		u.forOffset[header.OffsetReference] = append(u.forOffset[header.OffsetReference], d)
	} else {
		u.forHash[base] = append(u.forHash[base], d)
	}
	return nil
}

// spend takes the bytes of one object from what is left.
func (u *unpacker) spend(n int64) error {
	if n < 0 || n > u.limits.object {
		return fmt.Errorf("an object of it has more than %d bytes", u.limits.object)
	}
	if u.total += n; u.total > u.limits.total {
		return fmt.Errorf("its files and folders have more than %d bytes uncompressed", u.limits.total)
	}
	return nil
}

func (u *unpacker) store(kind plumbing.ObjectType, offset int64, data []byte) (plumbing.Hash, error) {
	object := new(plumbing.MemoryObject)
	object.SetType(kind)
	if _, err := object.Write(data); err != nil {
		return plumbing.ZeroHash, err
	}
	hash, err := u.to.SetEncodedObject(object)
	u.byOffset[offset] = hash
	return hash, err
}

// patch stores the object that d makes of base.
func (u *unpacker) patch(base plumbing.Hash, d delta) (plumbing.Hash, error) {
	size, err := targetSize(d.data)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if err := u.spend(size); err != nil {
		return plumbing.ZeroHash, err
	}
	old, err := u.content(base)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	data, err := packfile.PatchDelta(old, d.data)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return u.store(u.to.Objects[base].Type(), d.offset, data)
}

// release resolves the deltas that waited for an object, and those that waited
// for these.
func (u *unpacker) release(ctx context.Context, offset int64, hash plumbing.Hash) error {
	type object struct {
		offset int64
		hash   plumbing.Hash
	}
	for ready := []object{{offset, hash}}; len(ready) > 0; {
		base := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		deltas := append(u.forOffset[base.offset], u.forHash[base.hash]...)
		delete(u.forOffset, base.offset)
		delete(u.forHash, base.hash)
		for _, d := range deltas {
			if err := ctx.Err(); err != nil {
				return err
			}
			hash, err := u.patch(base.hash, d)
			if err != nil {
				return err
			}
			u.waiting--
			ready = append(ready, object{d.offset, hash})
		}
	}
	return nil
}

func (u *unpacker) content(hash plumbing.Hash) ([]byte, error) {
	r, err := u.to.Objects[hash].Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// dropLarge forgets the files that are too large to edit: nothing reads them.
func (u *unpacker) dropLarge() {
	for hash, blob := range u.to.Blobs {
		if blob.Size() > maxFileBytes {
			delete(u.to.Blobs, hash)
			delete(u.to.Objects, hash)
		}
	}
}

// targetSize is what a delta says that it makes: the second of the two numbers
// at its beginning.
func targetSize(data []byte) (int64, error) {
	size, shift := int64(0), 0
	for numbers := 0; len(data) > 0 && shift < 63; data = data[1:] {
		size |= int64(data[0]&0x7f) << shift
		shift += 7
		if data[0]&0x80 != 0 {
			continue
		}
		if numbers++; numbers == 2 {
			return size, nil
		}
		size, shift = 0, 0
	}
	return 0, errors.New("a delta without a size")
}
