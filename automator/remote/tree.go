package remote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"sealift.dev/internal/text"
)

// Limits of the folders of a commit.
const (
	maxEntries = 500_000 // files and folders
	maxFolders = 100     // in one path
)

// Modes of entries, as trees spell them.
const (
	modeFile = "100644"
	modeDir  = "40000"
)

// entry is one file or folder of a tree.
type entry struct {
	mode string // as it is written
	name string
	id   plumbing.Hash
}

func (e entry) isDir() bool { return strings.TrimLeft(e.mode, "0") == modeDir }

func (e entry) isRegular() bool {
	mode := strings.TrimLeft(e.mode, "0")
	return mode == modeFile || mode == "100755" || mode == "100664"
}

// sortName is what trees are ordered by: folders as if they had a slash at their end.
func (e entry) sortName() string {
	if e.isDir() {
		return e.name + "/"
	}
	return e.name
}

// parseTree reads MODE NAME\0ID, again and again.
func parseTree(tree []byte) ([]entry, error) {
	var entries []entry
	for len(tree) > 0 {
		mode, rest, ok := bytes.Cut(tree, []byte(" "))
		name, rest, also := bytes.Cut(rest, []byte{0})
		if !ok || !also || len(rest) < len(plumbing.Hash{}) || len(name) == 0 {
			return nil, errors.New("a folder of it is malformed")
		}
		e := entry{mode: string(mode), name: string(name)}
		tree = rest[copy(e.id[:], rest):]
		if entries = append(entries, e); len(entries) > maxEntries {
			return nil, fmt.Errorf("it has more than %d files and folders", maxEntries)
		}
	}
	return entries, nil
}

func encodeTree(entries []entry) []byte {
	var out bytes.Buffer
	for _, e := range entries {
		out.WriteString(e.mode + " " + e.name + "\x00")
		out.Write(e.id[:])
	}
	return out.Bytes()
}

func sortEntries(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.sortName(), b.sortName()) })
}

// reachable picks the folders below root from pools, and the files too where files is not nil.
func reachable(root plumbing.Hash, files objects, pools ...objects) (objects, error) {
	find := func(id plumbing.Hash) (gitObject, bool) {
		for _, pool := range pools {
			if o, ok := pool[id]; ok {
				return o, true
			}
		}
		return gitObject{}, false
	}
	trees := objects{}
	for left := []plumbing.Hash{root}; len(left) > 0; {
		id := left[len(left)-1]
		left = left[:len(left)-1]
		if _, ok := trees[id]; ok {
			continue
		}
		o, ok := find(id)
		if !ok || o.kind != plumbing.TreeObject {
			return nil, fmt.Errorf("the folder %s is missing from what the server sent", id)
		}
		trees[id] = o
		entries, err := parseTree(o.data)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.isDir() {
				left = append(left, e.id)
			} else if o, ok := find(e.id); ok && files != nil && o.kind == plumbing.BlobObject {
				files[e.id] = o
			}
		}
		if len(trees)+len(left) > maxEntries {
			return nil, fmt.Errorf("it has more than %d files and folders", maxEntries)
		}
	}
	return trees, nil
}

// walker visits the regular files of a commit. What other files are called does not matter.
type walker struct {
	trees   objects
	visit   func(path, blob, odd string) error
	entries int
	odd     string // what is wrong with the folder that is visited, or with one above it
}

// walk visits the files below a tree, which is the folder dir: empty, or with a / at its end.
func (w *walker) walk(ctx context.Context, tree plumbing.Hash, dir string, depth int) error {
	entries, err := parseTree(w.trees[tree].data)
	if err != nil {
		return err
	}
	if w.entries += len(entries); w.entries > maxEntries {
		return fmt.Errorf("it has more than %d files and folders", maxEntries)
	}
	if depth > maxFolders {
		return fmt.Errorf("%s is deeper than %d folders", text.Line(dir, 300), maxFolders)
	}
	names := count(entries)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		was := w.odd
		if w.odd == "" {
			w.odd = oddEntry(e, names)
		}
		var err error
		switch path := dir + e.name; {
		case e.isDir():
			err = w.walk(ctx, e.id, path+"/", depth+1)
		case e.isRegular():
			err = w.visit(path, e.id.String(), cmp.Or(w.odd, OddPath(path)))
		}
		w.odd = was
		if err != nil {
			return err
		}
	}
	return nil
}

func count(entries []entry) map[string]int {
	names := make(map[string]int, len(entries))
	for _, e := range entries {
		names[e.name]++
	}
	return names
}

// oddEntry says why a path does not lead to an entry alone; empty: it does. Git's own commands
// make no such trees, but servers may take them.
func oddEntry(e entry, names map[string]int) string {
	switch {
	case names[e.name] > 1:
		return "its folder has its name twice"
	case strings.Contains(e.name, "/"):
		return "a name in its path holds a slash"
	}
	return ""
}

// OddPath says what is wrong with a path that nobody should write; empty: nothing.
func OddPath(path string) string {
	for _, part := range strings.Split(path, "/") {
		if part == "" || part == "." || part == ".." || strings.EqualFold(part, ".git") {
			return "its path is no plain path"
		}
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "its path holds a control character"
	}
	return ""
}
