package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/test/stage"
	"sealift.dev/test/stage/keys"
)

// place is a machine as far as a release could depend on it.
type place struct {
	dir     string // of the clone
	umask   string
	clone   []string // flags of git clone
	config  []string // name=value, for git
	environ []string
}

// TestReproducible publishes one commit from two clones that differ in all that should
// not matter: the file system, umask, time zone, locale, line ends, file modes, the
// number of processors.
func TestReproducible(t *testing.T) {
	sealift, err := binary()
	must(t, err)
	registry, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true})
	must(t, err)
	defer registry.Close()
	image, err := random.Image(64, 1)
	must(t, err)
	reference, err := name.ParseReference(registry.Host+"/apps/shop:1.0.0", name.Insecure)
	must(t, err)
	must(t, remote.Write(reference, image))
	key, err := keys.New(t.TempDir(), "ci", "secret")
	must(t, err)
	origin := filepath.Join(t.TempDir(), "origin")
	must(t, os.MkdirAll(origin, 0o755))
	_, err = run(origin, nil, "git", "init", "-q", "-b", "main")
	must(t, err)
	_, err = stage.Commit(origin, "one", reproducibleFiles(registry.Host))
	must(t, err)

	memory, err := os.MkdirTemp("/dev/shm", "sealift-")
	if err != nil {
		t.Fatalf("a second file system is wanted: %v", err)
	}
	defer os.RemoveAll(memory)
	digests := map[string]string{}
	for where, p := range map[string]place{
		"disk": {dir: filepath.Join(t.TempDir(), "clone"), umask: "022", environ: []string{"TZ=UTC", "LANG=C", "LC_ALL=C", "GOMAXPROCS=1"}},
		"memory": {dir: filepath.Join(memory, "another-name"), umask: "077", clone: []string{"--shared"},
			config:  []string{"core.autocrlf=true", "core.filemode=false", "core.ignorecase=true"},
			environ: []string{"TZ=Pacific/Kiritimati", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "GOMAXPROCS=4", "GOGC=10"}},
	} {
		p.check(t, origin)
		command := fmt.Sprintf("umask %s; exec %s publish --key %s --source https://git.example.com/acme/deploy --plain-http -o json --quiet", p.umask, sealift, key.Private)
		out, err := run(p.dir, append(p.environ, "COSIGN_PASSWORD=secret", "HOME="+t.TempDir()), "sh", "-c", command)
		must(t, err)
		var r struct{ Digest, Version string }
		must(t, json.Unmarshal([]byte(out), &r))
		digests[where] = r.Digest
	}
	if digests["disk"] != digests["memory"] || digests["disk"] == "" {
		t.Errorf("one commit became %v", digests)
	}
}

// check makes the clone, and changes its work tree in ways that are not the commit's.
func (p place) check(t *testing.T, origin string) {
	t.Helper()
	args := append([]string{"-c", "umask " + p.umask + `; exec git clone -q "$@"`, "sh"}, p.clone...)
	for _, setting := range p.config {
		args = append(args, "-c", setting)
	}
	_, err := run(filepath.Dir(p.dir), p.environ, "sh", append(args, origin, p.dir)...)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(p.dir, "prod", "extra.yaml"), []byte("not committed: ["), 0o600))
	must(t, os.Chmod(filepath.Join(p.dir, "prod", "a.yaml"), 0o755))
}

func reproducibleFiles(host string) map[string]string {
	return map[string]string{
		"sealift.yaml": `apiVersion: sealift.dev/v1alpha1
kind: Config
publish:
- to: oci://` + host + `/deploy/shop
  environments:
    prod: prod
    staging: staging
    chart: {helm: {chart: chart, namespace: shop, set: {mood: fine}}}
`,
		"prod/a.yaml":                `{apiVersion: apps/v1, kind: Deployment, metadata: {name: i, labels: {b: "1", a: "2"}}, spec: {template: {spec: {containers: [{name: i, image: "` + host + `/apps/shop:1.0.0"}]}}}}` + "\n",
		"prod/Z.yaml":                "apiVersion: v1\r\nkind: ConfigMap\r\nmetadata: {name: z}\r\ndata: {text: \"I ı İ i\\r\\n\"}\r\n",
		"staging/kustomization.yaml": "resources: [../prod/a.yaml]\nnamespace: staging\nconfigMapGenerator: [{name: m, files: [motd.txt], literals: [b=1, a=2]}]\n",
		"staging/motd.txt":           "hello\nworld\n",
		"chart/Chart.yaml":           "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"chart/values.yaml":          "mood: calm\nmore: {z: 1, a: 2, m: 3}\n",
		"chart/templates/a.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data:
  mood: {{ .Values.mood }}
  year: {{ toDate "2006-01-02 15:04" "2026-01-01 00:30" | date "2006-01-02 15:04 MST" | quote }}
  {{- range $k, $v := .Values.more }}
  {{ $k | upper }}: {{ $v | quote }}
  {{- end }}
`,
	}
}

// run executes a program in dir, with only the given environment beside PATH.
func run(dir string, environ []string, program string, args ...string) (string, error) {
	return runIn(context.Background(), dir, environ, program, args...)
}

// runIn kills the program when ctx ends.
func runIn(ctx context.Context, dir string, environ []string, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1"}, environ...)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w: %s", program, args, err, problem.String())
	}
	return string(out), nil
}
