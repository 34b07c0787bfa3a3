package remote

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
)

// TestBomb: 60 files of 1,000,000 zeros are some 70 KB on the way.
func TestBomb(t *testing.T) {
	files := map[string]string{}
	for i := range 60 {
		files[fmt.Sprintf("zeros/%d.yaml", i)] = fmt.Sprint(i) + strings.Repeat("\x00", 1_000_000)
	}
	s := newServer(t, files)
	clear(files)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
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
	r := s.open(func(o *Options) { o.Limits = Limits{Total: 8 << 20} })
	_, err := bump(t.Context(), r, "a: 1\n", "a.yaml")
	wantError(t, err, "reading files of ", "more than 8388608 bytes uncompressed")
	close(done)
	if most := <-peak; most > before.HeapAlloc+50<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, most)
	}
}

// TestLimits: the same repository within each limit, and just beyond it.
func TestLimits(t *testing.T) {
	files := map[string]string{"a.yaml": strings.Repeat("a", 2000), "b.yaml": strings.Repeat("b", 2000), "c/d": "x"}
	benign := Limits{Objects: 6, Object: 2000, Total: 5000}
	for name, test := range map[string]struct {
		change func(*Limits)
		want   string
	}{
		"benign":   {func(*Limits) {}, ""},
		"objects":  {func(l *Limits) { l.Objects = 5 }, "6 objects, more than 5"},
		"object":   {func(l *Limits) { l.Object = 1999 }, "an object of it has more than 1999 bytes"},
		"total":    {func(l *Limits) { l.Total = 4000 }, "more than 4000 bytes uncompressed"},
		"transfer": {func(l *Limits) { l.Transfer = 400 }, "larger than 400 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, files)
			s.config("uploadpack.allowFilter", "false")
			limits := benign
			test.change(&limits)
			_, err := s.open(func(o *Options) { o.Limits = limits }).Snapshot(t.Context(), s.run(s.bare, "rev-parse", "main"))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestHugeFile: a file that is too much to be transferred does not hold up the others.
func TestHugeFile(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n", "huge.yaml": strings.Repeat("#", 3<<20)})
	r := s.open(func(o *Options) { o.Limits = Limits{Object: 2 << 20} })
	base := mustSnapshot(t, r, "main")
	a, err := base.Find("a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	huge, err := base.Find("huge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	read, tooLarge, err := base.Read(t.Context(), []string{huge, a})
	if err != nil || string(read[a]) != "a: 1\n" || len(tooLarge) != 1 || tooLarge[0] != huge {
		t.Errorf("%q, too large %v, %v", read, tooLarge, err)
	}
	s.reset()
	if _, tooLarge, err = base.Read(t.Context(), []string{huge, a}); err != nil || len(tooLarge) != 1 {
		t.Errorf("again: too large %v, %v", tooLarge, err)
	}
	if requests, _, _ := s.counts(); requests != 0 {
		t.Errorf("what is known was asked for again: %q", s.requests)
	}
}

// TestDeltas reads what a real server sends as deltas.
func TestDeltas(t *testing.T) {
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprintf("deploy/%d.yaml", i)] = strings.Repeat(fmt.Sprintf("# %d\n", i%7), 50) + strings.Repeat("# same\n", 500+i)
	}
	s := newServer(t, files)
	s.run(s.bare, "repack", "-adfq", "--depth=50", "--window=50")
	packs, err := filepath.Glob(filepath.Join(s.bare, "objects", "pack", "*.idx"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	if out := s.run(s.bare, "verify-pack", "-v", packs[0]); !strings.Contains(out, "chain length") {
		t.Fatalf("no deltas: %s", out)
	}
	for range 2 {
		base := mustSnapshot(t, s.open(), "main")
		for path, content := range files {
			blob, err := base.Find(path)
			if err != nil {
				t.Fatal(err)
			}
			if read, _, err := base.Read(t.Context(), []string{blob}); err != nil || string(read[blob]) != content {
				t.Fatalf("%s: %v", path, err)
			}
		}
		s.config("uploadpack.allowFilter", "false")
	}
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

// packEntry is one object of a pack; base is what a delta refers to.
func packEntry(kind plumbing.ObjectType, size int, base, data []byte) []byte {
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
	base := packEntry(plumbing.BlobObject, len(zeros), nil, zeros)
	ref := func(on plumbing.Hash, times int) []byte {
		return packEntry(plumbing.REFDeltaObject, len(repeating(times)), on[:], repeating(times))
	}
	ofs := func(back int) []byte {
		return packEntry(plumbing.OFSDeltaObject, len(repeating(2)), []byte{byte(back)}, repeating(2))
	}
	limits := Limits{Objects: 100, Object: 1 << 20, Total: 4 << 20, File: 1 << 20}
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
		"more than declared":   {packed(packEntry(plumbing.BlobObject, 10, nil, zeros)), "exceeds declared size"},
		"less than declared":   {packed(packEntry(plumbing.BlobObject, 1<<20, nil, zeros)), "instead of the 1048576 declared"},
		"huge by its word":     {packed(packEntry(plumbing.BlobObject, 1<<40, nil, zeros)), "more than 1048576 bytes"},
		"empty delta":          {packed(base, packEntry(plumbing.REFDeltaObject, 0, hash[:], nil)), "without a size"},
		"cut off":              {bytes.NewBuffer(packed(base).Bytes()[:40]), "EOF"},
		"another sum":          {bytes.NewBuffer(append(packed(base).Bytes()[:len(packed(base).Bytes())-20], make([]byte, 20)...)), "checksum mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := unpack(t.Context(), test.pack, nil, limits)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			if _, ok := got[plumbing.ComputeHash(plumbing.BlobObject, make([]byte, 128<<10))]; err != nil || !ok {
				t.Errorf("%d objects, %v", len(got), err)
			}
		})
	}
	got, err := unpack(t.Context(), packed(ref(hash, 2)), objects{hash: {plumbing.BlobObject, zeros}}, limits)
	if _, ok := got[plumbing.ComputeHash(plumbing.BlobObject, make([]byte, 128<<10))]; err != nil || !ok || len(got) != 1 {
		t.Errorf("from a known object: %d objects, %v", len(got), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := unpack(ctx, packed(base), nil, limits); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
