package fleet

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/dynamic"

	"sealift.dev/test/stage"
)

// site is a fresh control plane with a registry beside it, and Sealift's rights in it.
type site struct {
	cluster  *stage.ControlPlane
	registry *stage.Registry
	asked    atomic.Int64 // requests that the registry got
	client   *dynamic.DynamicClient
	dir      string
	sealift  string
	process  *exec.Cmd
}

func newSite(ctx context.Context, o Options, name string) (s *site, err error) {
	s = &site{dir: filepath.Join(o.Dir, name), sealift: o.Sealift}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return s, err
	}
	if s.cluster, err = stage.StartControlPlane(ctx, o.Bin, s.dir); err != nil {
		return s, err
	}
	count := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.asked.Add(1)
			next.ServeHTTP(w, r)
		})
	}
	if s.registry, err = stage.NewRegistry(stage.RegistryOptions{Referrers: true, Wrap: count}); err != nil {
		return s, err
	}
	if s.client, err = dynamic.NewForConfig(s.cluster.AdminConfig()); err != nil {
		return s, err
	}
	return s, s.admit(ctx)
}

// admit installs the definitions and rights, and makes the namespace. The user
// "sealift" is the bare loop, too: there with all rights of its own.
func (s *site) admit(ctx context.Context) error {
	install := exec.CommandContext(ctx, s.sealift, "install", "--components", "crds,rbac", "--kubeconfig", s.cluster.Kubeconfig)
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("installing: %w: %s", err, out)
	}
	for _, args := range [][]string{
		{"create", "clusterrolebinding", "sealift", "--clusterrole=sealift-sync", "--user=sealift"},
		{"create", "rolebinding", "sealift", "--role=sealift-sync", "--user=sealift", "-n", "sealift-system"},
		{"create", "namespace", namespace},
		{"create", "serviceaccount", "deployer", "-n", namespace},
		{"create", "rolebinding", "deployer", "--clusterrole=admin", "--serviceaccount=" + namespace + ":deployer", "-n", namespace},
		{"create", "rolebinding", "loop", "--clusterrole=admin", "--user=sealift", "-n", namespace},
	} {
		if out, err := s.cluster.Kubectl(ctx, args...); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return nil
}

// begin starts `sealift sync` as its Deployment does: with a lease, and with a cache.
func (s *site) begin(ctx context.Context, more ...string) error {
	log, err := os.Create(filepath.Join(s.dir, "sealift.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	args := append([]string{"sync", "--namespace", "sealift-system", "--leader-elect", "--log-format", "json", "--cache", filepath.Join(s.dir, "cache"), "--kubeconfig", s.cluster.SealiftKubeconfig}, more...)
	s.process = exec.CommandContext(ctx, s.sealift, args...)
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s.process.Start()
}

func (s *site) end() {
	if s.process == nil || s.process.Process == nil {
		return
	}
	s.process.Process.Signal(syscall.SIGTERM)
	stopped := time.AfterFunc(10*time.Second, func() { s.process.Process.Kill() })
	s.process.Wait() // ended by a signal: what it says is of no interest
	stopped.Stop()
	s.process = nil
}

func (s *site) close() {
	s.end()
	if s.registry != nil {
		s.registry.Close()
	}
	if s.cluster != nil {
		s.cluster.Stop()
	}
}
