package artifact

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"sealift.dev/internal/objects"
)

// Unpack reads a layer: one gzip member that holds one tar of regular files and
// folders. Owners, modes and times are passed over. Everything that unpacks
// differently elsewhere is refused: links, devices, paths out of the layer or
// with unusual bytes, two paths that some file system takes for one, anything
// before or behind. Files come in the order of their paths.
func Unpack(layer io.Reader, limits Limits) ([]objects.File, error) {
	compressed := bufio.NewReader(layer)
	zip, err := gzip.NewReader(compressed)
	if err != nil {
		return nil, fmt.Errorf("reading gzip: %w", err)
	}
	zip.Multistream(false)
	bounded := &boundedReader{from: zip, left: limits.Unpacked, limit: limits.Unpacked}
	u := unpacker{limits: limits, names: map[string]entry{}}
	if err := u.read(bounded); err != nil {
		return nil, err
	}
	if err := padding(bounded); err != nil {
		return nil, err
	}
	if _, err := compressed.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, errors.New("bytes follow the gzip member")
	}
	slices.SortFunc(u.files, func(a, b objects.File) int { return strings.Compare(a.Path, b.Path) })
	return u.files, nil
}

// boundedReader fails when more than limit bytes come out, and says so in every
// later call too.
type boundedReader struct {
	from        io.Reader
	left, limit int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, fmt.Errorf("the layer holds more than %d bytes: %w", b.limit, ErrLimit)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, fmt.Errorf("the layer holds more than %d bytes: %w", b.limit, ErrLimit)
	}
	return n, err
}

// maxPadding is what a tar may be filled up with behind its end: tools write
// records of 10 KiB.
const maxPadding = 64 << 10

// padding reads to the end of the gzip member, which checks its sum, and refuses
// anything but zeros.
func padding(r io.Reader) error {
	buffer := make([]byte, 4096)
	for total := 0; ; {
		n, err := r.Read(buffer)
		total += n
		if slices.ContainsFunc(buffer[:n], func(b byte) bool { return b != 0 }) {
			return errors.New("data follows the end of the tar")
		}
		if total > maxPadding {
			return fmt.Errorf("more than %d bytes follow the end of the tar: %w", maxPadding, ErrLimit)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading gzip: %w", err)
		}
	}
}

// entry is a name that was seen: of a file, a folder, or a folder that is there
// because something is in it.
type entry struct {
	path             string
	folder, declared bool
}

type unpacker struct {
	limits  Limits
	entries int
	globals int
	files   []objects.File
	names   map[string]entry // by folded name
}

// tailReader remembers the last bytes read, to tell the end that tar demands
// from a stream that merely stops.
type tailReader struct {
	from io.Reader
	tail []byte
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.tail = append(t.tail, p[:n]...)
	if extra := len(t.tail) - 1024; extra > 0 {
		t.tail = append(t.tail[:0], t.tail[extra:]...)
	}
	return n, err
}

func (u *unpacker) read(r io.Reader) error {
	source := &tailReader{from: r}
	archive := tar.NewReader(source)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			if len(source.tail) < 1024 || slices.ContainsFunc(source.tail, func(b byte) bool { return b != 0 }) {
				return errors.New("the tar has no end: it was cut off")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading tar: %w", err)
		}
		if u.entries++; u.entries > u.limits.Files {
			return fmt.Errorf("the layer holds more than %d files: %w", u.limits.Files, ErrLimit)
		}
		if err := u.entry(header, archive); err != nil {
			return err
		}
	}
}

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeDir:
		if header.Name == "./" || header.Name == "." {
			return nil
		}
		name := strings.TrimPrefix(strings.TrimSuffix(header.Name, "/"), "./")
		if err := u.checkPath(name); err != nil {
			return err
		}
		return u.claim(name, true)
	case tar.TypeReg:
		for key := range header.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return fmt.Errorf("file %q is sparse", header.Name)
			}
		}
		return u.file(strings.TrimPrefix(header.Name, "./"), header.Size, content)
	case tar.TypeXGlobalHeader: // git archive writes one
		if u.globals++; u.globals > 1 {
			return errors.New("the tar has a second global header")
		}
		return nil
	case tar.TypeSymlink, tar.TypeLink:
		return fmt.Errorf("%q is a link to %q: a layer may hold only files and folders", clip(header.Name), clip(header.Linkname))
	}
	return fmt.Errorf("%q is a device, a pipe or another special file: a layer may hold only files and folders", clip(header.Name))
}

func (u *unpacker) file(name string, size int64, content io.Reader) error {
	if err := u.checkPath(name); err != nil {
		return err
	}
	if size > u.limits.File {
		return fmt.Errorf("file %q has %d bytes, more than %d: %w", name, size, u.limits.File, ErrLimit)
	}
	if err := u.claim(name, false); err != nil {
		return err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(content, data); err != nil {
		return fmt.Errorf("reading %q: %w", name, err)
	}
	u.files = append(u.files, objects.File{Path: name, Data: data})
	return nil
}

func (u *unpacker) checkPath(name string) error {
	switch {
	case len(name) > u.limits.Path:
		return fmt.Errorf("path %q is longer than %d bytes: %w", clip(name), u.limits.Path, ErrLimit)
	case strings.Count(name, "/") >= u.limits.Depth:
		return fmt.Errorf("path %q is deeper than %d folders: %w", clip(name), u.limits.Depth, ErrLimit)
	case name == "" || name == "." || name == ".." || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "../"):
		return fmt.Errorf("path %q is not a plain path inside the layer", clip(name))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || !unicode.IsPrint(r) }):
		return fmt.Errorf("path %q holds a backslash or an unprintable character", clip(name))
	}
	return nil
}

// claim records name and the folders above it, and refuses a name that is there
// already, also in another case or Unicode form. A folder may be named by its
// own entry and by what is in it.
func (u *unpacker) claim(name string, folder bool) error {
	folded := cases.Fold().String(norm.NFKC.String(name))
	before, taken := u.names[folded]
	if taken && (before.path != name || !folder || !before.folder || before.declared) {
		return fmt.Errorf("path %q is there twice, as %q too", clip(name), clip(before.path))
	}
	u.names[folded] = entry{path: name, folder: folder, declared: true}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		folded := cases.Fold().String(norm.NFKC.String(parent))
		before, taken := u.names[folded]
		if taken && (before.path != parent || !before.folder) {
			return fmt.Errorf("path %q is there twice, as %q too", clip(parent), clip(before.path))
		}
		if taken {
			return nil
		}
		u.names[folded] = entry{path: parent, folder: true}
	}
	return nil
}

// clip shortens a stranger's text for a message.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
