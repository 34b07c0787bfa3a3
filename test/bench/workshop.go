package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// workshop is what the measurements share: the binary and a registry; furnished, also a commit, a
// key pair and a Sigstore instance.
type workshop struct {
	dir      string
	bin      string // the parts; empty until it is furnished
	sealift  string
	registry *wire
	sigstore *stage.Sigstore

	manifests int
	yamlBytes int
	commit    string
}

func newWorkshop(ctx context.Context, dir string, manifests int) (w *workshop, err error) {
	w = &workshop{dir: dir, sealift: filepath.Join(dir, "sealift"), manifests: manifests}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", w.sealift, "sealift.dev/cmd/sealift")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return w, fmt.Errorf("building sealift: %w: %s", err, out)
	}
	if w.registry, err = newWire(); err != nil {
		return w, fmt.Errorf("starting the registry: %w", err)
	}
	return w, nil
}

// furnish builds and starts what is about releases.
func (w *workshop) furnish(ctx context.Context) (err error) {
	w.bin, err = parts.Ensure(ctx, os.Stderr, slices.Concat(stage.SigstoreParts(), stage.ControlPlaneParts(), []string{"cosign3"})...)
	if err != nil {
		return err
	}
	if w.sigstore, err = stage.StartSigstore(ctx, w.bin, filepath.Join(w.dir, "sigstore")); err != nil {
		return err
	}
	for _, step := range [][]string{
		{w.sealift, "keys", "generate", "--output-prefix", "ci"},
		{filepath.Join(w.bin, "cosign3"), "signing-config", "create", "--out", "signing-config.json"},
	} {
		if _, err := w.measure(ctx, step[0], step[1:]...); err != nil {
			return err
		}
	}
	return w.commitManifests()
}

func (w *workshop) close() {
	if w.registry != nil {
		w.registry.close()
	}
	if w.sigstore != nil {
		w.sigstore.Stop()
	}
}

// environment keeps the user's configuration out.
func (w *workshop) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "DOCKER_CONFIG=" + w.dir, "COSIGN_PASSWORD=", "TMPDIR=" + os.TempDir(),
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
	}
}

// commitManifests commits applications of four objects, 2 KB each, as plain YAML.
func (w *workshop) commitManifests() error {
	files := map[string]string{}
	for i := range w.manifests {
		content := manifest(i, w.registry.image())
		w.yamlBytes += len(content)
		files[fmt.Sprintf("deploy/app-%04d/%d.yaml", i/4, i%4)] = content
	}
	if _, err := stage.Git(w.dir, "init", "--quiet", "--initial-branch=main"); err != nil {
		return err
	}
	if _, err := stage.Commit(w.dir, "manifests", files); err != nil {
		return err
	}
	commit, err := stage.Git(w.dir, "rev-parse", "HEAD")
	w.commit = strings.TrimSpace(commit)
	return err
}

// manifest is the i-th object: of every application the Deployment, the Service, the ServiceAccount
// and the Ingress.
func manifest(i int, image string) string {
	const size = 2000
	name := fmt.Sprintf("app-%04d", i/4)
	kinds := []string{"apps/v1\nkind: Deployment", "v1\nkind: Service", "v1\nkind: ServiceAccount", "networking.k8s.io/v1\nkind: Ingress"}
	specs := []string{
		fmt.Sprintf("spec:\n  replicas: 2\n  selector:\n    matchLabels: {app: %[1]s}\n  template:\n    metadata:\n      labels: {app: %[1]s}\n    spec:\n      containers:\n        - name: app\n          image: %[2]s\n          ports: [{containerPort: 8080}]\n", name, image),
		fmt.Sprintf("spec:\n  selector: {app: %s}\n  ports: [{port: 80, targetPort: 8080}]\n", name),
		"automountServiceAccountToken: false\n",
		fmt.Sprintf("spec:\n  rules:\n    - host: %[1]s.example.com\n      http:\n        paths:\n          - path: /\n            pathType: Prefix\n            backend:\n              service: {name: %[1]s, port: {number: 80}}\n", name),
	}
	head := fmt.Sprintf("apiVersion: %s\nmetadata:\n  name: %s\n  namespace: shop\n  labels:\n    app: %[2]s\n", kinds[i%4], name)
	var notes strings.Builder
	notes.WriteString("  annotations:\n")
	for n := 0; len(head)+notes.Len()+len(specs[i%4]) < size; n++ {
		fmt.Fprintf(&notes, "    example.com/note-%02d: \"%s, object %d: what people write about it, line %d\"\n", n, name, i, n)
	}
	return head + notes.String() + specs[i%4]
}
