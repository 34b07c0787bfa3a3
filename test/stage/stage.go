// Package stage starts and stops the real parts that Sealift runs between: a Kubernetes control
// plane, registries, a Git server. Tests, the demo and "make controlplane" stand on it. Nothing
// listens elsewhere than on 127.0.0.1, and nothing reads or writes the user's own configuration of
// kubectl, Docker or Git.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"sealift.dev/test/parts"
)

// Options of Start. The zero value works.
type Options struct {
	// Dir keeps data, logs and kubeconfigs, and stays; what an earlier run left in its folders
	// cluster and git is removed. Empty: a temporary folder, removed by Stop.
	Dir string
	// Out gets one line for each part that is built or started. Nil: nothing is written.
	Out io.Writer
}

// Stage is a running control plane with a registry and a Git server beside it.
type Stage struct {
	*ControlPlane
	Registry *Registry  // in process, with the referrers API
	Git      *GitServer // without authentication
	Dir      string

	temporary bool
}

// Start builds what is missing and starts everything. The caller calls Stop.
func Start(ctx context.Context, options Options) (*Stage, error) {
	out := options.Out
	if out == nil {
		out = io.Discard
	}
	bin, err := parts.Ensure(ctx, out, ControlPlaneParts()...)
	if err != nil {
		return nil, err
	}
	s := &Stage{Dir: options.Dir, temporary: options.Dir == ""}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if err := s.start(ctx, out, bin); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends everything that Start started. Calling it again changes nothing.
func (s *Stage) Stop() error {
	var errs []error
	if s.ControlPlane != nil {
		s.ControlPlane.Stop()
	}
	if s.Registry != nil {
		errs = append(errs, s.Registry.Close())
	}
	if s.Git != nil {
		errs = append(errs, s.Git.Close())
	}
	if s.temporary {
		errs = append(errs, os.RemoveAll(s.Dir))
	}
	return errors.Join(errs...)
}

func (s *Stage) prepare() (err error) {
	if s.temporary {
		s.Dir, err = os.MkdirTemp("", "sealift-stage-")
		return err
	}
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return err
	}
	return os.MkdirAll(s.Dir, 0o755)
}

func (s *Stage) start(ctx context.Context, out io.Writer, bin string) (err error) {
	cluster, repositories := filepath.Join(s.Dir, "cluster"), filepath.Join(s.Dir, "git")
	for _, dir := range []string{cluster, repositories} {
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
			return err
		}
	}
	started := time.Now()
	fmt.Fprint(out, "starting the control plane ")
	if s.ControlPlane, err = StartControlPlane(ctx, bin, cluster); err != nil {
		fmt.Fprintln(out, "failed")
		return err
	}
	fmt.Fprintf(out, "done in %.1f s\n", time.Since(started).Seconds())
	if s.Registry, err = NewRegistry(RegistryOptions{Referrers: true}); err != nil {
		return err
	}
	s.Git, err = NewGitServer(repositories, GitOptions{})
	return err
}
