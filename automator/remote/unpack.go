package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// gitObject is a commit, a tree, a file or a tag.
type gitObject struct {
	kind plumbing.ObjectType
	data []byte // nil: the file is too large
}

// objects are Git objects by their names.
type objects map[plumbing.Hash]gitObject

func (o objects) store(kind plumbing.ObjectType, data []byte) plumbing.Hash {
	if data == nil {
		data = []byte{}
	}
	id := plumbing.ComputeHash(kind, data)
	o[id] = gitObject{kind, data}
	return id
}

// delta is an object that is stored as the difference from another.
type delta struct {
	offset int64
	data   []byte
}

// unpacker inflates a pack to memory. Each size is checked before its bytes are
// inflated: a few bytes inflate to a thousand times as many.
type unpacker struct {
	limits   Limits
	to       objects
	known    objects // what deltas may be based on besides
	total    int64
	buffer   bytes.Buffer // of the object that is read
	byOffset map[int64]plumbing.Hash
	// Deltas whose base has not come yet.
	forOffset map[int64][]delta
	forHash   map[plumbing.Hash][]delta
	waiting   int
}

// unpack reads the objects of a pack. Deltas may be based on objects that are known.
// A file that is larger than the limit comes without its content.
func unpack(ctx context.Context, pack io.Reader, known objects, limits Limits) (objects, error) {
	u := &unpacker{
		limits: limits, to: objects{}, known: known, byOffset: map[int64]plumbing.Hash{},
		forOffset: map[int64][]delta{}, forHash: map[plumbing.Hash][]delta{},
	}
	if err := u.all(ctx, pack); err != nil {
		return nil, err
	}
	return u.to, nil
}

func (u *unpacker) all(ctx context.Context, pack io.Reader) error {
	scanner := packfile.NewScanner(pack)
	_, count, err := scanner.Header()
	if err != nil {
		return err
	}
	if int64(count) > int64(u.limits.Objects) {
		return &limitError{fmt.Sprintf("it has %d objects, more than %d", count, u.limits.Objects)}
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
	hash := u.store(header.Type, header.Offset, bytes.Clone(u.buffer.Bytes()))
	return u.release(ctx, header.Offset, hash)
}

// nextDelta resolves the delta in the buffer, or lets it wait for its base.
func (u *unpacker) nextDelta(ctx context.Context, header *packfile.ObjectHeader) error {
	d := delta{offset: header.Offset, data: u.buffer.Bytes()}
	base := header.Reference
	if header.Type == plumbing.OFSDeltaObject {
		base = u.byOffset[header.OffsetReference]
	}
	if _, ok := u.find(base); ok {
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
	if n < 0 || n > u.limits.Object {
		return &limitError{fmt.Sprintf("an object of it has more than %d bytes", u.limits.Object)}
	}
	if u.total += n; u.total > u.limits.Total {
		return &limitError{fmt.Sprintf("its files and folders have more than %d bytes uncompressed", u.limits.Total)}
	}
	return nil
}

func (u *unpacker) store(kind plumbing.ObjectType, offset int64, data []byte) plumbing.Hash {
	id := u.to.store(kind, data)
	u.byOffset[offset] = id
	return id
}

// find gives an object of the pack, or a known one.
func (u *unpacker) find(id plumbing.Hash) (gitObject, bool) {
	if o, ok := u.to[id]; ok {
		return o, true
	}
	o, ok := u.known[id]
	return o, ok && o.data != nil
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
	old, _ := u.find(base)
	data, err := packfile.PatchDelta(old.data, d.data)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return u.store(old.kind, d.offset, data), nil
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

// dropLarge forgets what is in the files that are too large: nothing reads them.
func (u *unpacker) dropLarge() {
	for id, o := range u.to {
		if o.kind == plumbing.BlobObject && int64(len(o.data)) > u.limits.File {
			u.to[id] = gitObject{kind: o.kind}
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
