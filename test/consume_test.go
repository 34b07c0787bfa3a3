package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	orasremote "oras.land/oras-go/v2/registry/remote"

	"sealift.dev/test/stage"
	"sealift.dev/test/stage/keys"
)

// desk is a folder in which somebody works with programs, away from the user's
// configuration.
type desk struct {
	t        *testing.T
	dir      string
	programs map[string]string // paths, by name
	ci       keys.Pair
	stranger keys.Pair
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	sealift, err := binary()
	must(t, err)
	d := &desk{t: t, dir: t.TempDir(), programs: map[string]string{"sealift": sealift}}
	d.ci, err = keys.New(d.dir, "ci", "secret")
	must(t, err)
	d.stranger, err = keys.New(d.dir, "stranger", "secret")
	must(t, err)
	_, err = stage.Git(d.dir, "init", "--quiet", "--initial-branch=main")
	must(t, err)
	return d
}

func (d *desk) run(program string, args ...string) (string, error) {
	cmd := exec.CommandContext(d.t.Context(), d.programs[program], args...)
	cmd.Dir = d.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "DOCKER_CONFIG=" + d.dir, "COSIGN_PASSWORD=secret", "GIT_CONFIG_GLOBAL=" + os.DevNull}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// publish commits two environments, and publishes the commit.
func (d *desk) publish(repository string) published {
	d.t.Helper()
	_, err := stage.Commit(d.dir, "change", map[string]string{"prod/a.yaml": configMap("a", "1"), "staging/a.yaml": configMap("a", "2")})
	must(d.t, err)
	out, err := d.run("sealift", "publish", "--to", "oci://"+repository, "--key", d.ci.Private,
		"--environment", "prod=prod", "--environment", "staging=staging", "--plain-http", "-o", "json")
	must(d.t, err)
	var p published
	must(d.t, json.Unmarshal([]byte(out), &p))
	return p
}

// TestOthersReadPublished reads what `sealift publish` pushed in the ways of ORAS,
// of tar and of Flux.
func TestOthersReadPublished(t *testing.T) {
	for label, referrers := range map[string]bool{"referrers API": true, "referrers tag": false} {
		t.Run(label, func(t *testing.T) {
			registry, err := stage.NewRegistry(stage.RegistryOptions{Referrers: referrers})
			must(t, err)
			defer registry.Close()
			p := newDesk(t).publish(registry.Host + "/deploy/shop")
			for reader, read := range map[string]func(t *testing.T, p published, dir string){"oras and tar": pullByORAS, "flux": pullLikeFlux} {
				t.Run(reader, func(t *testing.T) {
					dir := t.TempDir()
					read(t, p, dir)
					for environment, value := range map[string]string{"prod": `"1"`, "staging": `"2"`} {
						data, err := os.ReadFile(filepath.Join(dir, environment, "objects.yaml"))
						if err != nil || !bytes.Contains(data, []byte("value: "+value)) {
							t.Errorf("%s: %v: %q", environment, err, data)
						}
					}
				})
			}
		})
	}
}

// pullByORAS is `oras pull`, and then `tar -xzf`.
func pullByORAS(t *testing.T, p published, dir string) {
	t.Helper()
	source, err := orasremote.NewRepository(strings.Split(p.Reference, "@")[0])
	must(t, err)
	source.PlainHTTP = true
	files, err := file.New(dir)
	must(t, err)
	defer files.Close()
	_, err = oras.Copy(t.Context(), source, "main", files, "", oras.DefaultCopyOptions)
	must(t, err)
	if output, err := exec.Command("tar", "-xzf", filepath.Join(dir, "release.tar.gz"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, output)
	}
}

// pullLikeFlux takes what an OCIRepository takes where nothing else is said: the
// first layer, which has to be a gzipped tar.
func pullLikeFlux(t *testing.T, p published, dir string) {
	t.Helper()
	reference, err := name.ParseReference(strings.Split(p.Reference, "@")[0]+":main", name.Insecure)
	must(t, err)
	image, err := remote.Image(reference)
	must(t, err)
	manifest, err := image.Manifest()
	must(t, err)
	if revision := manifest.Annotations["org.opencontainers.image.revision"]; !strings.HasPrefix(revision, "main@sha1:") {
		t.Errorf("Flux would show the revision %q", revision)
	}
	layers, err := image.Layers()
	must(t, err)
	layer, err := layers[0].Compressed()
	must(t, err)
	defer layer.Close()
	must(t, untarLikeFlux(layer, dir))
}

// untarLikeFlux has the rules of Flux's reader: relative paths without a way up
// and without backslashes, regular files and folders, and each file as long as
// its header says.
func untarLikeFlux(layer io.Reader, dir string) error {
	zip, err := gzip.NewReader(layer)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := filepath.Join(dir, filepath.FromSlash(header.Name))
		mode := header.FileInfo().Mode()
		switch {
		case header.Name == "", header.Name[0] == '/', strings.Contains(header.Name, "../"), strings.Contains(header.Name, `\`):
			return fmt.Errorf("Flux refuses the name %q", header.Name)
		case mode.IsDir():
			err = os.MkdirAll(at, 0o755)
		case mode.IsRegular():
			err = untarFile(archive, at, header.Size)
		default:
			return fmt.Errorf("Flux refuses %q, which is a %s", header.Name, mode)
		}
		if err != nil {
			return err
		}
	}
}

func untarFile(content io.Reader, at string, size int64) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if int64(len(data)) != size {
		return fmt.Errorf("%s has %d bytes, not the %d of its header", at, len(data), size)
	}
	return os.WriteFile(at, data, 0o644)
}
