package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// up starts a stage that outlives this process, unless one runs, and prints its addresses.
func up(ctx context.Context, dir string) error {
	running, err := runs(dir)
	if err != nil {
		return err
	}
	if running {
		fmt.Fprintln(os.Stderr, "the control plane runs already")
		return show(dir)
	}
	if _, err := parts.Ensure(ctx, os.Stderr, stage.ControlPlaneParts()...); err != nil {
		return err
	}
	if err := launch(ctx, dir); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "the control plane runs until: make controlplane-down")
	return show(dir)
}

// launch starts "run serve" in a session of its own and waits until it wrote its addresses.
func launch(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, addressFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	path := filepath.Join(dir, "stage.log")
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "serve", dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the stage: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if _, err := os.Stat(filepath.Join(dir, addressFile)); err == nil {
			return nil
		}
		select {
		case err := <-ended:
			said, _ := os.ReadFile(path)
			return fmt.Errorf("starting the stage: %w\n%s", err, said)
		case <-ctx.Done():
			cmd.Process.Signal(syscall.SIGTERM)
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// serve holds the lock, runs the stage and stops it when ctx ends.
func serve(ctx context.Context, dir string) error {
	held, err := hold(dir)
	if err != nil {
		return err
	}
	defer held.Close()
	s, err := stage.Start(ctx, stage.Options{Dir: dir, Out: os.Stderr})
	if err != nil {
		return err
	}
	repository, err := s.Git.Create("shop.git")
	if err == nil {
		err = writeAddresses(dir, s, repository)
	}
	if err != nil {
		return errors.Join(err, s.Stop())
	}
	<-ctx.Done()
	return errors.Join(os.Remove(filepath.Join(dir, addressFile)), s.Stop())
}

// down stops the stage and waits until it is gone.
func down(ctx context.Context, dir string) error {
	running, err := runs(dir)
	if err != nil {
		return err
	}
	if !running {
		fmt.Fprintln(os.Stderr, "no control plane runs")
		return nil
	}
	pid, err := holder(dir)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping process %d: %w", pid, err)
	}
	for running {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if running, err = runs(dir); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr, "the control plane is stopped")
	return nil
}
