package test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sealift.dev/test/stage"
	"sealift.dev/test/stage/keys"
)

// binary builds sealift once for all tests.
var binary = sync.OnceValues(func() (string, error) { return build("sealift", "../cmd/sealift", "CGO_ENABLED=0") }) // as make build does, whatever the race detector needs

// build makes a program that is removed when all tests are done.
func build(name, folder string, env ...string) (string, error) {
	path := filepath.Join(common.scratch, name)
	command := exec.Command("go", "build", "-o", path, folder)
	command.Env = append(os.Environ(), env...)
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", name, err, output)
	}
	return path, nil
}

// world is what one test has to itself: a namespace, a Git repository with a
// clone, a repository in the registry, and key pairs.
type world struct {
	t         *testing.T
	cluster   *stage.ControlPlane
	registry  *stage.Registry
	name      string // of the namespace, the Delivery and both repositories
	dir       string
	work      string
	gitURL    string
	ci        keys.Pair
	stranger  keys.Pair
	sealiftIn string // the binary
	others    string // bystanders that nobody may touch
	shares    string // the repository, where it is another world's
}

func newWorld(t *testing.T, cluster *stage.ControlPlane, registry *stage.Registry, git *stage.GitServer) *world {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	return newWorldNamed(t, name, cluster, registry, git)
}

// newWorldNamed is newWorld for tests that have several.
func newWorldNamed(t *testing.T, name string, cluster *stage.ControlPlane, registry *stage.Registry, git *stage.GitServer) *world {
	t.Helper()
	sealift, err := binary()
	must(t, err)
	w := &world{t: t, cluster: cluster, registry: registry, name: name, dir: t.TempDir(), sealiftIn: sealift}
	w.ci, err = keys.New(w.dir, "ci", "")
	must(t, err)
	w.stranger, err = keys.New(w.dir, "stranger", "")
	must(t, err)
	w.gitURL, err = git.Create(w.name + ".git")
	must(t, err)
	w.work = filepath.Join(w.dir, "work")
	_, err = stage.Git(w.dir, "clone", "--quiet", w.gitURL, w.work)
	must(t, err)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// repository is the release's address.
func (w *world) repository() string {
	return "oci://" + w.registry.Host + "/deploy/" + cmp.Or(w.shares, w.name)
}

// sealift runs the binary in the clone; the error carries the exit code.
func (w *world) sealift(args ...string) (string, string, error) {
	cmd := exec.Command(w.sealiftIn, args...)
	cmd.Dir, cmd.Env = w.work, w.environment()
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := cmd.Run()
	return out.String(), problem.String(), err
}

func (w *world) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "DOCKER_CONFIG=" + w.dir, "COSIGN_PASSWORD=",
		"KUBECONFIG=" + w.cluster.Kubeconfig, "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
	}
}

// dockerConfig is what the command line authenticates with.
func (w *world) dockerConfig(content string) {
	w.t.Helper()
	must(w.t, os.WriteFile(filepath.Join(w.dir, "config.json"), []byte(content), 0o600))
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// published is what `sealift publish -o json` prints.
type published struct {
	Reference string   `json:"reference"`
	Digest    string   `json:"digest"`
	Tags      []string `json:"tags"`
	Version   string   `json:"version"`
	Sequence  int64    `json:"sequence"`
	Unchanged bool     `json:"unchanged"`
}

// publish commits files (by path; empty removes) and publishes the commit as the
// environment prod, signed by CI.
func (w *world) publish(files map[string]string, more ...string) published {
	w.t.Helper()
	_, err := stage.Commit(w.work, "change", files)
	must(w.t, err)
	return w.publishHead(w.ci, more...)
}

func (w *world) publishHead(key keys.Pair, more ...string) published {
	w.t.Helper()
	// The images are in no registry.
	args := []string{"publish", "--to", w.repository(), "--key", key.Private, "--environment", "prod=deploy", "--no-pin", "--plain-http", "-o", "json"}
	out, problem, err := w.sealift(append(args, more...)...)
	if err != nil {
		w.t.Fatalf("publishing: %v: %s", err, problem)
	}
	var p published
	must(w.t, json.Unmarshal([]byte(out), &p))
	return p
}

// admit makes the namespace with a service account that may do everything in it.
func (w *world) admit() {
	w.t.Helper()
	w.apply(admission(w.name))
}

func admission(namespace string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: %[1]s}]
`, namespace)
}

// deliver creates or changes the Delivery; spec lines are indented by two blanks.
func (w *world) deliver(spec string) {
	w.t.Helper()
	w.apply(w.manifest(spec))
}

// manifest is the Delivery that deliver applies.
func (w *world) manifest(spec string) string {
	key := strings.ReplaceAll(strings.TrimSpace(w.ci.PublicPEM), "\n", "\n            ")
	return fmt.Sprintf(`
apiVersion: sealift.dev/v1alpha1
kind: Delivery
metadata: {name: %[1]s, namespace: %[1]s}
spec:
  environment: prod
  serviceAccountName: deployer
  interval: 1s
  trust:
    authorities:
      - name: ci
        key:
          data: |
            %[2]s
%[3]s`, w.name, key, spec)
}

// source is the spec's source, followed by more of the spec.
func (w *world) source(what, more string) string {
	return fmt.Sprintf("  source: {url: %s, %s, insecure: true}\n%s", w.repository(), what, more)
}

func (w *world) apply(manifest string) {
	w.t.Helper()
	out, err := w.cluster.KubectlInput(w.t.Context(), manifest, "apply", "-f", "-")
	if err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
}

func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	out, err := w.cluster.Kubectl(w.t.Context(), args...)
	if err != nil {
		w.t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// delivery is the part of a Delivery that tests look at.
type delivery struct {
	Metadata struct {
		Generation int64
	}
	Status struct {
		ObservedGeneration int64
		Conditions         []struct{ Type, Status, Reason, Message string }
		Applied, Attempted struct{ Digest, Revision string }
		Quarantined        struct{ Digest, Cause string }
		Kinds              []struct{ Group, Kind string }
		Drifted            []string
	}
}

func (d delivery) ready() (status, reason, message string) {
	for _, c := range d.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status, c.Reason, c.Message
		}
	}
	return "", "", ""
}

func (w *world) status() delivery {
	w.t.Helper()
	var d delivery
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "json")), &d))
	return d
}

// inTime is how long what is claimed may take where the machine has much else to do.
const inTime = 90 * time.Second

// until polls what is claimed until it holds, for inTime at most.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(inTime); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			status, reason, message := w.status().ready()
			w.t.Fatalf("waited in vain for: %s\nReady=%s %s: %s", what, status, reason, message)
		}
	}
}

// delivered waits until the release is applied and Ready.
func (w *world) delivered(p published) {
	w.t.Helper()
	w.until("release "+p.Digest+" delivered", func() bool {
		d := w.status()
		status, _, _ := d.ready()
		return d.Status.Applied.Digest == p.Digest && status == "True" && d.Status.ObservedGeneration == d.Metadata.Generation
	})
}

// refused waits for a reason, and returns the message.
func (w *world) refused(reason string) string {
	w.t.Helper()
	var message string
	w.until("the reason "+reason, func() bool {
		status, got, m := w.status().ready()
		message = m
		return status == "False" && got == reason
	})
	return message
}

// exists says whether the cluster holds an object of the test's namespace.
func (w *world) exists(kind, name string) bool {
	w.t.Helper()
	out := w.kubectl("get", kind, name, "-n", w.name, "--ignore-not-found", "-o", "name")
	return strings.TrimSpace(out) != ""
}

// synchronizer is a running `sealift sync`.
type synchronizer struct {
	cmd *exec.Cmd
	log *bytes.Buffer
	mu  sync.Mutex
}

func (s *synchronizer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *synchronizer) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// startSync runs `sealift sync` as the user "sealift" with the rights of the manifests.
func startSync(c *stage.ControlPlane, more ...string) (*synchronizer, error) {
	sealift, err := binary()
	if err != nil {
		return nil, err
	}
	args := append([]string{"sync", "--namespace", "sealift-system", "--kubeconfig", c.SealiftKubeconfig}, more...)
	s := &synchronizer{cmd: exec.Command(sealift, args...), log: &bytes.Buffer{}}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return s, s.cmd.Start()
}

func (s *synchronizer) end(signal os.Signal) {
	s.cmd.Process.Signal(signal)
	s.cmd.Wait()
}

// installOn applies the definitions and rights to a control plane, and gives the
// user "sealift" the synchronizer's.
func installOn(ctx context.Context, c *stage.ControlPlane) error {
	sealift, err := binary()
	if err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, sealift, "install", "--components", "crds,rbac", "--kubeconfig", c.Kubeconfig).CombinedOutput()
	if err != nil {
		return fmt.Errorf("installing: %w: %s", err, output)
	}
	for _, binding := range [][]string{
		{"create", "clusterrolebinding", "sealift", "--clusterrole=sealift-sync", "--user=sealift"},
		{"create", "rolebinding", "sealift", "--role=sealift-sync", "--user=sealift", "-n", "sealift-system"},
	} {
		if output, err := c.Kubectl(ctx, binding...); err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
	}
	return nil
}

// synced is the stage with one synchronizer that most tests share.
var synced = sync.OnceValues(func() (*synchronizer, error) {
	if err := installOn(context.Background(), common.stage.ControlPlane); err != nil {
		return nil, err
	}
	started, err := startSync(common.stage.ControlPlane)
	common.synchronizer = started
	return started, err
})

// onSync gives a test a world on the shared stage, its synchronizer running.
func onSync(t *testing.T) *world {
	t.Helper()
	s := onStage(t)
	running, err := synced()
	must(t, err)
	w := newWorld(t, s.ControlPlane, s.Registry, s.Git)
	w.admit()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the synchronizer's log:\n%s", running.output())
		}
	})
	return w
}

// configMap is a manifest.
func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {value: %q}\n", name, value)
}
