package bump

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"

	"sealift.dev/test/stage"
)

const (
	ours   = "deploy.git"
	theirs = "peer.git"
)

// app is the name of an image, and of its repository.
func app(i int) string { return fmt.Sprintf("app-%03d", i) }

// repositories makes two of the same content: the automator's, and git's.
func (g *ground) repositories() (err error) {
	work := filepath.Join(g.Dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"config", "gc.auto", "0"}} {
		if _, err := stage.Git(work, args...); err != nil {
			return err
		}
	}
	if err := g.content(work); err != nil {
		return err
	}
	if _, err := stage.Commit(work, "one", map[string]string{"sealift.yaml": g.config()}); err != nil {
		return err
	}
	if g.url, err = g.fill(work, ours); err != nil {
		return err
	}
	g.peer, err = g.fill(work, theirs)
	return err
}

// content writes YAML files of about 1 KB, and others of noise.
func (g *ground) content(work string) error {
	noise := rand.New(rand.NewSource(20261121))
	for i := range files {
		path := filepath.Join(work, "apps", fmt.Sprintf("team-%02d", i%20), fmt.Sprintf("%04d.yaml", i))
		if err := write(path, []byte(g.manifest(i))); err != nil {
			return err
		}
	}
	for i := range otherFiles {
		data := make([]byte, otherBytes/otherFiles)
		noise.Read(data)
		if err := write(filepath.Join(work, "assets", fmt.Sprintf("%02d.bin", i)), data); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// manifest is a Deployment. Each tenth has a marker.
func (g *ground) manifest(i int) string {
	name, image := fmt.Sprintf("web-%04d", i), "registry.example.com/apps/web:1.0.0"
	if every := files / marked; i%every == 0 {
		name = app(i / every)
		image = fmt.Sprintf("%s/%s:1.0.0 # {\"$imagepolicy\": \"%[2]s:%[2]s\"}", g.shelf.host, name)
		g.shelf.put(name, "1.0.0")
	}
	var notes strings.Builder
	for n := range 8 {
		fmt.Fprintf(&notes, "    example.com/note-%d: \"what people write about %s, line %d\"\n", n, name, n)
	}
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: %[1]s\n  annotations:\n%[2]sspec:\n  selector: {matchLabels: {app: %[1]s}}\n"+
		"  template:\n    metadata: {labels: {app: %[1]s}}\n    spec:\n      containers:\n        - name: app\n          image: %[3]s\n", name, notes.String(), image)
}

func (g *ground) config() string {
	var b strings.Builder
	b.WriteString("apiVersion: sealift.dev/v1alpha1\nkind: Config\nautomate:\n  images:\n")
	for i := range marked {
		fmt.Fprintf(&b, "    - {name: %[1]s, image: %[2]s/%[1]s, select: {semver: \">=1.0.0 <2.0.0\"}}\n", app(i), g.shelf.host)
	}
	return b.String()
}

// fill pushes the work tree to a new repository on the server, with refs as old ones have them.
func (g *ground) fill(work, name string) (string, error) {
	url, err := g.git.Create(name)
	if err != nil {
		return "", err
	}
	path := g.git.Path(name)
	if _, err := stage.Git(work, "push", "--quiet", path, "HEAD:main"); err != nil {
		return "", err
	}
	tip, err := stage.Git(path, "rev-parse", "main")
	if err != nil {
		return "", err
	}
	var refs strings.Builder
	refs.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for i := range otherRefs {
		fmt.Fprintf(&refs, "%s refs/heads/feature/some-work-of-somebody-%04d\n", tip, i)
	}
	if err := os.WriteFile(filepath.Join(path, "packed-refs"), []byte(refs.String()), 0o644); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"repack", "-adq"}, {"config", "gc.auto", "0"}, {"config", "receive.autogc", "false"}} {
		if _, err := stage.Git(path, args...); err != nil {
			return "", err
		}
	}
	return url, nil
}
