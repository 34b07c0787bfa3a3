package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// archive is a tar of entries; each regular file holds its Linkname.
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		content := ""
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func names(names ...string) []tar.Header {
	var headers []tar.Header
	for _, name := range names {
		headers = append(headers, tar.Header{Name: name, Linkname: "x"})
	}
	return headers
}

func TestUnpackNames(t *testing.T) {
	long := strings.Repeat("a/", 40)
	for _, c := range []struct {
		names []string
		want  string // empty: accepted
	}{
		{[]string{"a.yaml", "prod/b.yaml", "prod/c/d.yaml"}, ""},
		{[]string{"./a.yaml", "..a", "a..", "...", "a b", "é.yaml"}, ""},
		{[]string{"../x"}, "not a plain path"},
		{[]string{"a/../../x"}, "not a plain path"},
		{[]string{"a/../x"}, "not a plain path"},
		{[]string{"a//x"}, "not a plain path"},
		{[]string{"/x"}, "not a plain path"},
		{[]string{".//x"}, "not a plain path"},
		{[]string{""}, "not a plain path"},
		{[]string{"."}, "not a plain path"},
		{[]string{".."}, "not a plain path"},
		{[]string{`a\..\x`}, "backslash"},
		{[]string{"a\nb"}, "unprintable"},
		{[]string{"a\x1b[31m"}, "unprintable"},
		{[]string{"a\xff"}, "unprintable"},
		{[]string{long + "x"}, ""},
		{[]string{long + long + "x"}, "deeper than 64"},
		{[]string{strings.Repeat("a", 4097)}, "longer than 4096"},
		{[]string{"a", "a"}, "is there twice"},
		{[]string{"a.yaml", "A.yaml"}, "is there twice"},
		{[]string{"straße", "strasse"}, "is there twice"},
		{[]string{"\u00e9", "e\u0301"}, "is there twice"},
		{[]string{"A/x", "a/y"}, "is there twice"},
		{[]string{"a", "a/b"}, "is there twice"},
		{[]string{"a/b", "a"}, "is there twice"},
	} {
		t.Run(fmt.Sprintf("%.40q", c.names), func(t *testing.T) {
			files, err := Unpack(bytes.NewReader(zipped(t, archive(t, names(c.names...)...))), DefaultLimits())
			if c.want == "" && (err != nil || len(files) != len(c.names)) {
				t.Fatal(files, err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Fatalf("%q is not escaped", err)
			}
		})
	}
}

func TestUnpackEntries(t *testing.T) {
	file := tar.Header{Name: "a.yaml", Linkname: "kind: X"}
	for name, c := range map[string]struct {
		headers []tar.Header
		want    string
	}{
		"folders":         {[]tar.Header{{Name: "./", Typeflag: tar.TypeDir}, {Name: "p/q/", Typeflag: tar.TypeDir}, {Name: "p/", Typeflag: tar.TypeDir}, file, {Name: "p/q/x"}}, ""},
		"set-uid and ids": {[]tar.Header{{Name: "a", Mode: 0o6777, Uid: 1 << 40, Uname: "root", ModTime: time.Unix(1<<40, 0)}}, ""},
		"global header":   {[]tar.Header{{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "git"}}, file}, ""},
		"global headers":  {[]tar.Header{{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"a": "b"}}, {Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"a": "b"}}}, "second global header"},
		"symbolic link":   {[]tar.Header{{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}, "is a link"},
		"hard link":       {[]tar.Header{file, {Name: "b", Typeflag: tar.TypeLink, Linkname: "a.yaml"}}, "is a link"},
		"character":       {[]tar.Header{{Name: "a", Typeflag: tar.TypeChar}}, "special file"},
		"block":           {[]tar.Header{{Name: "a", Typeflag: tar.TypeBlock}}, "special file"},
		"pipe":            {[]tar.Header{{Name: "a", Typeflag: tar.TypeFifo}}, "special file"},
		"folder twice":    {[]tar.Header{{Name: "p/", Typeflag: tar.TypeDir}, {Name: "p/", Typeflag: tar.TypeDir}}, "is there twice"},
		"folder over it":  {[]tar.Header{file, {Name: "a.yaml/", Typeflag: tar.TypeDir}}, "is there twice"},
		"folder outside":  {[]tar.Header{{Name: "../p/", Typeflag: tar.TypeDir}}, "not a plain path"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Unpack(bytes.NewReader(zipped(t, archive(t, c.headers...))), DefaultLimits())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestUnpackStreams(t *testing.T) {
	plain := archive(t, names("a", "b")...)
	good := zipped(t, plain)
	edit := func(data []byte, at int, to byte) []byte {
		data = bytes.Clone(data)
		data[at] = to
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"good":                  {good, ""},
		"padded":                {zipped(t, append(bytes.Clone(plain), make([]byte, 10<<10)...)), ""},
		"empty":                 {nil, "EOF"},
		"not gzip":              {plain, "reading gzip"},
		"not tar":               {zipped(t, []byte(strings.Repeat("hello", 500))), "reading tar"},
		"no end":                {zipped(t, plain[:len(plain)-1024]), "no end"},
		"half an end":           {zipped(t, plain[:len(plain)-512]), "no end"},
		"nothing in it":         {zipped(t, nil), "no end"},
		"bad checksum":          {zipped(t, edit(plain, 5, 'x')), "reading tar"},
		"two tars":              {zipped(t, append(bytes.Clone(plain), plain...)), "follows the end of the tar"},
		"a byte after the tar":  {zipped(t, append(bytes.Clone(plain), 'x')), "follows the end of the tar"},
		"zeros without end":     {zipped(t, append(bytes.Clone(plain), make([]byte, 1<<20)...)), "follow the end of the tar"},
		"two members":           {append(bytes.Clone(good), good...), "follow the gzip member"},
		"a byte after the gzip": {append(bytes.Clone(good), 0), "follow the gzip member"},
		"gzip, wrong sum":       {edit(good, len(good)-8, good[len(good)-8]^1), "checksum"},
		"gzip, wrong length":    {edit(good, len(good)-4, good[len(good)-4]^1), "checksum"},
		"gzip, cut off":         {good[:len(good)-8], "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Unpack(bytes.NewReader(c.data), DefaultLimits())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestUnpackRefusesEveryTruncation(t *testing.T) {
	plain := archive(t, names("a", "b", "c")...)
	for n := 0; n < len(plain); n += 512 {
		if _, err := Unpack(bytes.NewReader(zipped(t, plain[:n])), DefaultLimits()); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(plain))
		}
	}
}

func TestUnpackLimits(t *testing.T) {
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("f%d", i))
	}
	for name, c := range map[string]struct {
		data []byte
		edit func(*Limits)
		want string
	}{
		"files":    {archive(t, names(many...)...), func(l *Limits) { l.Files = 29 }, "more than 29 files"},
		"file":     {archive(t, tar.Header{Name: "a", Linkname: strings.Repeat("x", 100)}), func(l *Limits) { l.File = 99 }, `"a" has 100 bytes, more than 99`},
		"unpacked": {archive(t, names(many...)...), func(l *Limits) { l.Unpacked = 20_000 }, "more than 20000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			limits := DefaultLimits()
			if _, err := Unpack(bytes.NewReader(zipped(t, c.data)), limits); err != nil {
				t.Fatal(err)
			}
			c.edit(&limits)
			_, err := Unpack(bytes.NewReader(zipped(t, c.data)), limits)
			if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestUnpackStopsInTheMiddleOfABomb(t *testing.T) {
	header := tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: 1 << 30}
	read, write := io.Pipe()
	go func() {
		zip := gzip.NewWriter(write)
		w := tar.NewWriter(zip)
		_ = w.WriteHeader(&header)
		_, err := io.Copy(w, io.LimitReader(zeros{}, header.Size)) // fails once the reader is gone
		_ = write.CloseWithError(err)
	}()
	_, err := Unpack(read, DefaultLimits())
	_ = read.Close()
	if !errors.Is(err, ErrLimit) {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
