package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	_ "time/tzdata" // Tokyo's zone, for the process that this one starts

	"github.com/google/go-containerregistry/pkg/registry"
)

// commit writes files, path and content in turn, into a new repository, and commits them.
func commit(t *testing.T, files ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "x"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	return dir
}

// TestMain is sealift itself for a test that needs all of main.
func TestMain(m *testing.M) {
	if os.Getenv("SEALIFT_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestPublishKnowsNoZone: a chart renders in the same way in all zones of the world.
func TestPublishKnowsNoZone(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv(keyPasswordVar, "x")
	prefix := filepath.Join(t.TempDir(), "own")
	if code, _, problem := sealift(t, "keys", "generate", "--output-prefix", prefix); code != 0 {
		t.Fatal(problem)
	}
	dir := commit(t,
		"sealift.yaml", "apiVersion: sealift.dev/v1alpha1\nkind: Config\npublish:\n- {to: 'oci://127.0.0.1:1/shop', environments: {prod: {helm: {chart: c}}}}\n",
		"c/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		"c/templates/a.yaml", `{{ fail (now.Local.Format "it is -0700") }}`)
	publish := exec.Command(os.Args[0], "publish", "-C", dir, "--key", prefix+".key")
	publish.Env = append(os.Environ(), "SEALIFT_MAIN=1", "TZ=Asia/Tokyo")
	if problem, err := publish.CombinedOutput(); err == nil || !strings.Contains(string(problem), "it is +0000") {
		t.Errorf("%v: %s", err, problem)
	}
}

// TestPublishTellsNoSecret: who gives a token or a key where its file is wanted does
// not find it in the log.
func TestPublishTellsNoSecret(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	dir := commit(t, "p/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	for name, c := range map[string]struct{ flag, secret, want string }{
		"a token": {"--identity-token", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJzZWNyZXQifQ.c2VjcmV0", "hint: give it in SIGSTORE_ID_TOKEN"},
		"a key":   {"--key", "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n", "hint: write it to a file"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, problem := sealift(t, "publish", "-C", dir, "--to", "oci://127.0.0.1:1/shop", "--environment", "prod=p", c.flag, c.secret)
			if code == 0 || !strings.Contains(problem, c.want) || strings.Contains(out+problem, "c2VjcmV0") {
				t.Errorf("code %d: %s", code, problem)
			}
		})
	}
}

// TestPublishTellsAudits: a policy in Audit mode keeps no image out, and is heard.
func TestPublishTellsAudits(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv(keyPasswordVar, "x")
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	own, other := filepath.Join(t.TempDir(), "own"), filepath.Join(t.TempDir(), "other")
	if code, _, problem := sealift(t, "keys", "generate", "--output-prefix", own); code != 0 {
		t.Fatal(problem)
	}
	_, policy, problem := sealift(t, "keys", "generate", "--output-prefix", other)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(policy, "mode: Enforce", "mode: Audit", 1)), 0o600); err != nil {
		t.Fatal(problem, err)
	}
	dir := commit(t, "image/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", // any artifact is as good as an image
		"prod/a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: '"+host+"/image:main'}]}\n")
	publish := func(flags ...string) (int, string) {
		code, _, problem := sealift(t, append([]string{"publish", "-C", dir, "--key", own + ".key", "--plain-http"}, flags...)...)
		return code, problem
	}
	if code, problem := publish("--to", host+"/image", "--environment", "prod=image"); code != 0 {
		t.Fatal(problem)
	}
	code, problem := publish("--to", host+"/shop", "--environment", "prod=prod", "--verify-images", file)
	if code != 0 || !strings.Contains(problem, "Audit      the image "+host+"/image@sha256:") || !strings.Contains(problem, "none of its signatures counts") {
		t.Errorf("code %d: %s", code, problem)
	}
}
