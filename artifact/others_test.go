package artifact

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/registry/remote"
)

// TestOthersReadReleases pulls a release the way `oras pull` does, and unpacks it
// with tar.
func TestOthersReadReleases(t *testing.T) {
	onBoth(t, func(t *testing.T, r *Registry, repository Repository) {
		p := examplePackage(t)
		ref, _, err := r.Push(t.Context(), repository, p)
		if err != nil {
			t.Fatal(err)
		}
		source, err := remote.NewRepository(repository.String())
		if err != nil {
			t.Fatal(err)
		}
		source.PlainHTTP = true
		dir := t.TempDir()
		files, err := file.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		if _, err := oras.Copy(t.Context(), source, ref.Digest.String(), files, "release", oras.DefaultCopyOptions); err != nil {
			t.Fatal(err)
		}
		if output, err := exec.Command("tar", "-xzf", filepath.Join(dir, layerTitle), "-C", dir).CombinedOutput(); err != nil {
			t.Fatalf("tar: %v: %s", err, output)
		}
		for _, environment := range p.Contents.Environments {
			data, err := os.ReadFile(filepath.Join(dir, environment.Name, objectsFile))
			if err != nil || !bytes.Contains(data, []byte("apiVersion")) {
				t.Errorf("%s: %v: %q", environment.Name, err, data)
			}
		}
	})
}
