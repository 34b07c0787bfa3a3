package hostile

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// packed is a vector of a layer's tar. The twin of what is nil is a good file alone.
func packed(name, reason, text string, bad, benign func(t *testing.T) []byte) vector {
	return vector{name, func(w *world, hostile bool) {
		made := pick(hostile, bad, benign)
		if made == nil {
			made = func(t *testing.T) []byte { return archive(t, file("prod/a.yaml", good)) }
		}
		w.layer = zipped(w.t, made(w.t))
		w.publish()
	}, "pull", reason, text, false, ""}
}

// named is a vector of a file's name beside a good one.
func named(name, reason, text, bad, benign string) vector {
	with := func(name string) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			return archive(t, file("prod/objects.yaml", good), raw(name, tar.TypeReg, "x"))
		}
	}
	return packed(name, reason, text, with(bad), with(benign))
}

// pair is a vector of two files' names.
func pair(name, first, second, benign string) vector {
	with := func(second string) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			return archive(t, file("prod/objects.yaml", good), raw(first, tar.TypeReg, "x"), raw(second, tar.TypeReg, "x"))
		}
	}
	return packed(name, "Invalid", "is there twice", with(second), with(benign))
}

// raw is an entry of any type.
func raw(name string, kind byte, content string) entry {
	return entry{tar.Header{Typeflag: kind, Name: name, Mode: 0o644, Linkname: pick(kind == tar.TypeReg, "", "objects.yaml")}, content}
}

// special is a vector of an entry's type; a file of the same name is good.
func special(name, text string, kind byte) vector {
	with := func(kind byte) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			return archive(t, file("prod/objects.yaml", good), raw("prod/x", kind, ""))
		}
	}
	return packed(name, "Invalid", text, with(kind), with(tar.TypeReg))
}

// layered is a vector of a layer's bytes, the gzip included.
func layered(name, reason, text string, bad func(t *testing.T, good []byte) []byte) vector {
	return vector{name, func(w *world, hostile bool) {
		if hostile {
			w.layer = bad(w.t, bytes.Clone(w.layer))
		}
		w.publish()
	}, "pull", reason, text, false, ""}
}

func TestArchives(t *testing.T) {
	const plain, odd, twice = "is not a plain path", "backslash or an unprintable", "Invalid"
	vectors := []vector{
		named("name that climbs out", "Invalid", plain, "../x", "..x"),
		named("name that climbs out from below", "Invalid", plain, "a/../../x", "a/..b/x"),
		named("absolute name", "Invalid", plain, "/etc/passwd", "etc/passwd"),
		named("name with backslashes", "Invalid", odd, `a\..\..\x`, "a-..-..-x"),
		named("empty name", "Invalid", plain, "", "a"),
		named("name that is a dot", "Invalid", plain, ".", "a."),
		{"name with NUL", func(w *world, hostile bool) {
			w.layer = zipped(w.t, paxName(w.t, pick(hostile, "x/a\x00b", "x/a-b")))
			w.publish()
		}, "pull", "Invalid", "reading tar", false, ""},
		named("name over 4,096 bytes", "Limit", "longer than 4096 bytes", strings.Repeat("x", 4097), strings.Repeat("x", 4096)),
		named("name of invalid UTF-8", "Invalid", odd, "a\xff\xfe", "a\u00ff"),
		named("name with escape codes", "Invalid", odd, "a\x1b[31m\n", "a[31m"),
		pair("file that is a folder too", "a", "a/b", "b/b"),
		pair("duplicate name", "a", "a", "b"),
		pair("duplicate name by case", "a", "A", "B"),
		pair("duplicate name by Unicode form", "\u00e9", "e\u0301", "e\u0302"),
		special("symbolic link", "is a link", tar.TypeSymlink),
		special("hard link", "is a link", tar.TypeLink),
		special("character device", "special file", tar.TypeChar),
		special("block device", "special file", tar.TypeBlock),
		special("FIFO", "special file", tar.TypeFifo),
		{"set-uid modes and huge ids", func(w *world, hostile bool) {
			e := file("prod/objects.yaml", good)
			if hostile {
				e.Mode, e.Uid, e.Gid, e.Uname, e.Format = 0o6777, 1<<40, 1<<40, "root", tar.FormatPAX
			}
			w.layer = zipped(w.t, archive(w.t, e))
			w.publish()
		}, "", "", "", false, ""},
		packed("sparse file", "Invalid", "sparse", func(t *testing.T) []byte { return sparse(t, "GNU.sparse.realsize") }, func(t *testing.T) []byte { return sparse(t, "VENDOR.sparse.realsize") }),
		packed("old sparse file", "Invalid", "reading tar", func(t *testing.T) []byte { return retyped(t, 'S') }, func(t *testing.T) []byte { return retyped(t, '0') }),
		packed("size of a terabyte", "Limit", "more than 16777216", func(t *testing.T) []byte { return lying(t, 1<<40) }, func(t *testing.T) []byte { return lying(t, int64(len(good))) }),
		packed("size larger than the archive", "Invalid", "EOF", func(t *testing.T) []byte { return lying(t, 1<<20) }, func(t *testing.T) []byte { return lying(t, int64(len(good))) }),
		{"a million empty files", func(w *world, hostile bool) {
			w.layer = many(w.t, pick(hostile, 1_000_000, 1_000))
			w.publish()
		}, "pull", "Limit", "more than 20000 files", false, ""},
		named("10,000 levels", "Limit", "longer than 4096 bytes", strings.Repeat("d/", 10_000)+"x", strings.Repeat("d/", 63)+"x"),
		named("65 levels", "Limit", "deeper than 64 folders", strings.Repeat("d/", 65)+"x", strings.Repeat("d/", 63)+"x"),
		packed("archive without its end", "Invalid", "cut off", func(t *testing.T) []byte { a := archive(t, file("prod/a.yaml", good)); return a[:len(a)-512] }, nil),
		packed("data after the end", "Invalid", "follows the end of the tar", func(t *testing.T) []byte { return append(archive(t, file("prod/a.yaml", good)), 'x') }, nil),
		packed("two archives in one", "Invalid", "follows the end of the tar", func(t *testing.T) []byte {
			return append(archive(t, file("prod/a.yaml", good)), archive(t, file("prod/b.yaml", good))...)
		}, nil),
		packed("bad checksum", "Invalid", "reading tar", func(t *testing.T) []byte { a := archive(t, file("prod/a.yaml", good)); a[2] ^= 1; return a }, nil),
		packed("100 MiB of global headers", "Invalid", "second global header", func(t *testing.T) []byte { return globals(t, 100<<20/1536) }, func(t *testing.T) []byte { return globals(t, 1) }),
		layered("gzip of 1 GiB of zeros", "Limit", "follow the end of the tar", func(t *testing.T, _ []byte) []byte {
			return zip(t, func(w io.Writer) error { _, err := io.CopyN(w, zeros{}, 1<<30); return err })
		}),
		{"gzip of a file of 1 GiB", func(w *world, hostile bool) {
			w.layer = large(w.t, 1, pick(hostile, int64(1<<30), 1<<20))
			w.publish()
		}, "pull", "Limit", "more than 16777216", false, ""},
		{"gzip of 1 GiB in files of 16 MiB", func(w *world, hostile bool) {
			w.layer = large(w.t, pick(hostile, 64, 1), 16<<20)
			w.publish()
		}, "pull", "Limit", "more than", false, ""},
		layered("several gzip members", "Invalid", "follow the gzip member", func(_ *testing.T, good []byte) []byte { return append(good, good...) }),
		layered("gzip with a wrong sum", "Invalid", "checksum", func(_ *testing.T, good []byte) []byte { good[len(good)-8] ^= 1; return good }),
		layered("gzip with a wrong length", "Invalid", "checksum", func(_ *testing.T, good []byte) []byte { good[len(good)-4] ^= 1; return good }),
		layered("truncated gzip", "Invalid", "EOF", func(_ *testing.T, good []byte) []byte { return good[:len(good)/2] }),
		layered("garbage after gzip", "Invalid", "follow the gzip member", func(_ *testing.T, good []byte) []byte { return append(good, "garbage"...) }),
		layered("no gzip at all", "Invalid", "reading gzip", func(t *testing.T, _ []byte) []byte { return archive(t, file("prod/a.yaml", good)) }),
	}
	whole := archive(t, file("prod/a.yaml", good), file("prod/b.yaml", strings.Replace(good, "name: a", "name: b", 1)), file("x", strings.Repeat("x", 600)))
	for n := 0; n <= len(whole)-512; n += 512 {
		v := packed(fmt.Sprintf("truncated at %d bytes", n), "Invalid", "", func(*testing.T) []byte { return whole[:n] }, func(*testing.T) []byte { return whole })
		v.listed = "truncated at %d bytes"
		vectors = append(vectors, v)
	}
	runAll(t, Archives, vectors)
}

// paxName is an archive of a good file and one whose name is in a PAX record.
func paxName(t *testing.T, name string) []byte {
	t.Helper()
	if !strings.Contains(name, "\x00") {
		return archive(t, file("prod/objects.yaml", good), file(name, "x"))
	}
	// archive/tar does not write such a name: put it in place of another one.
	data := archive(t, file("prod/objects.yaml", good), entry{tar.Header{Typeflag: tar.TypeReg, Name: strings.ReplaceAll(name, "\x00", "é"), Mode: 0o644, Format: tar.FormatPAX}, "x"})
	return bytes.Replace(data, []byte("x/aéb\n"), []byte("x/a\x00\x00b\n"), 1)
}

// sparse is a file with a record that names a size.
func sparse(t *testing.T, record string) []byte {
	t.Helper()
	return bytes.ReplaceAll(archive(t, entry{tar.Header{Typeflag: tar.TypeReg, Name: "prod/objects.yaml", Mode: 0o644, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"VENDOR.sparse.realsize": "1", "VENDOR.sparse.major": "1", "VENDOR.sparse.minor": "0"}}, good}),
		[]byte(" VENDOR.sparse.realsize"), []byte(padTo(" "+record, len(" VENDOR.sparse.realsize"))))
}

func padTo(s string, n int) string { return s + strings.Repeat("_", n-len(s)) }

// retyped is a file whose header has another type, its sum mended.
func retyped(t *testing.T, kind byte) []byte {
	t.Helper()
	data := archive(t, file("prod/objects.yaml", good))
	data[156] = kind
	return mended(data)
}

// lying is a file whose header has another size, its sum mended.
func lying(t *testing.T, size int64) []byte {
	t.Helper()
	data := archive(t, file("prod/objects.yaml", good))
	copy(data[124:136], []byte{0x80, 0, 0, 0, byte(size >> 56), byte(size >> 48), byte(size >> 40), byte(size >> 32), byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)})
	copy(data[257:265], "ustar  \x00") // GNU's, which has numbers in base 256
	return mended(data)
}

// mended has the right sum in its first header.
func mended(data []byte) []byte {
	copy(data[148:156], "        ")
	sum := 0
	for _, b := range data[:512] {
		sum += int(b)
	}
	copy(data[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

// many is a layer of n empty files and a good one.
func many(t *testing.T, n int) []byte {
	t.Helper()
	return zip(t, func(out io.Writer) error {
		w := tar.NewWriter(out)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "prod/objects.yaml", Size: int64(len(good)), Mode: 0o644}); err != nil {
			return err
		}
		if _, err := io.WriteString(w, good); err != nil {
			return err
		}
		for i := range n {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("f%d", i), Mode: 0o644}); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// large is a layer of n files of zeros, each of size bytes, and a good one.
func large(t *testing.T, n int, size int64) []byte {
	t.Helper()
	return zip(t, func(out io.Writer) error {
		w := tar.NewWriter(out)
		headers := []tar.Header{{Typeflag: tar.TypeReg, Name: "prod/objects.yaml", Size: int64(len(good)), Mode: 0o644}}
		for i := range n {
			headers = append(headers, tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("zeros%d", i), Size: size, Mode: 0o644})
		}
		var content io.Reader = strings.NewReader(good)
		for _, h := range headers {
			if err := w.WriteHeader(&h); err != nil {
				return err
			}
			if _, err := io.CopyN(w, content, h.Size); err != nil {
				return err
			}
			content = zeros{}
		}
		return w.Close()
	})
}

// globals is a good file behind n global headers.
func globals(t *testing.T, n int) []byte {
	t.Helper()
	one := entry{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "git"}}, ""}
	var entries []entry
	for range n {
		entries = append(entries, one)
	}
	return archive(t, append(entries, file("prod/objects.yaml", good))...)
}
