package automator

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/memory"
)

// TestBomb: 600 files of 1,000,000 zeros are some 200 KB on the way.
func TestBomb(t *testing.T) {
	files := map[string]string{"sealift.yaml": configFor("localhost/apps/shop", "*")}
	for i := range 600 {
		files[fmt.Sprintf("zeros/%d", i)] = fmt.Sprint(i) + strings.Repeat("\x00", 1_000_000)
	}
	git := newGitServer(t, files, nil)
	clear(files)
	runtime.GC()
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most := uint64(0)
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			most = max(most, stats.HeapAlloc) // with what is not collected yet
			select {
			case <-done:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	mustFail(t, git, git.options(), "reading main of "+git.url, "more than 268435456 bytes uncompressed")
	close(done)
	if most := <-peak; most > 800<<20 {
		t.Errorf("the heap grew to %d bytes", most)
	}
}

func TestPackLimits(t *testing.T) {
	git := newGitServer(t, map[string]string{"a": strings.Repeat("a", 2000), "b": strings.Repeat("b", 2000), "c/d": "x"}, nil)
	for name, test := range map[string]struct {
		limits packLimits
		want   string
	}{
		"benign":  {packLimits{objects: 6, object: 2000, total: 5000}, ""},
		"objects": {packLimits{objects: 5, object: 2000, total: 5000}, "6 objects, more than 5"},
		"object":  {packLimits{objects: 6, object: 1999, total: 5000}, "an object of it has more than 1999 bytes"},
		"total":   {packLimits{objects: 6, object: 2000, total: 4000}, "more than 4000 bytes uncompressed"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := openRepository(mustComplete(t, git.options()))
			if err != nil {
				t.Fatal(err)
			}
			r.limits = test.limits
			_, err = r.fetch(t.Context(), branchMain)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func mustComplete(t *testing.T, o Options) Options {
	t.Helper()
	o, err := o.complete()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestDeltas reads what a real server sends as deltas.
func TestDeltas(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	files := map[string]string{"sealift.yaml": configFor(image, "*")}
	for i := range 50 {
		files[fmt.Sprintf("deploy/%d.yaml", i)] = deployment(image+":1.1.0") + strings.Repeat(fmt.Sprintf("# %d\n", i%7), 50) + strings.Repeat("# same\n", 500+i)
	}
	git := newGitServer(t, files, nil)
	git.git(git.bare, "repack", "-adfq", "--depth=50", "--window=50")
	packs, err := filepath.Glob(filepath.Join(git.bare, "objects", "pack", "*.idx"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	if out := git.git(git.bare, "verify-pack", "-v", packs[0]); !strings.Contains(out, "chain length") {
		t.Fatalf("no deltas: %s", out)
	}
	result, err := Run(t.Context(), git.options())
	if err != nil || !result.Pushed || len(result.Changes) != 50 {
		t.Fatalf("%d changes, %v", len(result.Changes), err)
	}
	git.git(git.bare, "fsck", "--strict")
}

// packed writes a pack of entries by hand.
func packed(entries ...[]byte) *bytes.Buffer {
	pack := bytes.NewBufferString("PACK")
	_ = binary.Write(pack, binary.BigEndian, []uint32{2, uint32(len(entries))})
	for _, entry := range entries {
		pack.Write(entry)
	}
	sum := sha1.Sum(pack.Bytes())
	pack.Write(sum[:])
	return pack
}

// entry is one object of a pack; base is what a delta refers to.
func entry(kind plumbing.ObjectType, size int, base, data []byte) []byte {
	first, rest := byte(kind)<<4|byte(size&15), size>>4
	var out bytes.Buffer
	for ; rest > 0; rest >>= 7 {
		out.WriteByte(first | 0x80)
		first = byte(rest & 0x7f)
	}
	out.WriteByte(first)
	out.Write(base)
	z := zlib.NewWriter(&out)
	_, _ = z.Write(data)
	_ = z.Close()
	return out.Bytes()
}

// repeating is a delta that repeats a base of 64 KiB.
func repeating(times int) []byte {
	data := binary.AppendUvarint(nil, 64<<10)
	data = binary.AppendUvarint(data, uint64(times)<<16)
	return append(data, bytes.Repeat([]byte{0x80}, times)...)
}

func TestHandmadePacks(t *testing.T) {
	zeros := make([]byte, 64<<10)
	hash := plumbing.ComputeHash(plumbing.BlobObject, zeros)
	base := entry(plumbing.BlobObject, len(zeros), nil, zeros)
	ref := func(on plumbing.Hash, times int) []byte {
		return entry(plumbing.REFDeltaObject, len(repeating(times)), on[:], repeating(times))
	}
	ofs := func(back int) []byte {
		return entry(plumbing.OFSDeltaObject, len(repeating(2)), []byte{byte(back)}, repeating(2))
	}
	limits := packLimits{objects: 100, object: 1 << 20, total: 4 << 20}
	for name, test := range map[string]struct {
		pack *bytes.Buffer
		want string
	}{
		"delta":                {packed(base, ref(hash, 2)), ""},
		"delta by offset":      {packed(base, ofs(len(base))), ""},
		"delta before base":    {packed(ref(hash, 2), base), ""},
		"offset, base waits":   {packed(ref(hash, 1), ofs(len(ref(hash, 1))), base), ""},
		"delta grows too much": {packed(base, ref(hash, 17)), "more than 1048576 bytes"},
		"late, grows too much": {packed(ref(hash, 17), base), "more than 1048576 bytes"},
		"deltas in total":      {packed(base, ref(hash, 15), ref(hash, 16), ref(hash, 15), ref(hash, 14), ref(hash, 13)), "more than 4194304 bytes"},
		"no base":              {packed(ref(plumbing.ZeroHash, 2), base), "lacks what 1 of its deltas"},
		"more than declared":   {packed(entry(plumbing.BlobObject, 10, nil, zeros)), "exceeds declared size"},
		"less than declared":   {packed(entry(plumbing.BlobObject, 1<<20, nil, zeros)), "instead of the 1048576 declared"},
		"huge by its word":     {packed(entry(plumbing.BlobObject, 1<<40, nil, zeros)), "more than 1048576 bytes"},
		"empty delta":          {packed(base, entry(plumbing.REFDeltaObject, 0, hash[:], nil)), "without a size"},
		"cut off":              {bytes.NewBuffer(packed(base).Bytes()[:40]), "EOF"},
		"another sum":          {bytes.NewBuffer(append(packed(base).Bytes()[:len(packed(base).Bytes())-20], make([]byte, 20)...)), "checksum mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			to := memory.NewStorage()
			err := unpack(t.Context(), test.pack, to, limits)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			twice := plumbing.ComputeHash(plumbing.BlobObject, make([]byte, 128<<10))
			if _, ok := to.Blobs[twice]; err != nil || !ok {
				t.Errorf("%v, %v", to.Blobs, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unpack(ctx, packed(base), memory.NewStorage(), limits); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
