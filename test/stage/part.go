package stage

import (
	"context"
	"fmt"
	"slices"
	"syscall"
)

// The parts of a control plane that tests stop, by the names of their programs.
const (
	Etcd      = "etcd"
	APIServer = "kube-apiserver"
)

// StopPart ends one part of the control plane; the others go on without it.
func (c *ControlPlane) StopPart(name string) error {
	at, err := c.part(name)
	if err != nil {
		return err
	}
	c.processes[at].stop()
	return nil
}

// StartPart starts a part that StopPart ended, with the arguments and the data that it had.
// It returns when the API server is ready.
func (c *ControlPlane) StartPart(ctx context.Context, name string) error {
	at, err := c.part(name)
	if err != nil {
		return err
	}
	former := c.processes[at]
	p, err := c.group.start(c.dir, former.cmd.Path, former.cmd.Args[1:]...)
	if err != nil {
		return err
	}
	c.processes[at] = p
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return until(ctx, []*process{p}, "the API server is ready", c.serving)
}

// PausePart freezes a part: its connections stay, and nobody answers them.
func (c *ControlPlane) PausePart(name string) error { return c.signal(name, syscall.SIGSTOP) }

// ResumePart lets a frozen part go on.
func (c *ControlPlane) ResumePart(name string) error { return c.signal(name, syscall.SIGCONT) }

func (c *ControlPlane) signal(name string, s syscall.Signal) error {
	at, err := c.part(name)
	if err != nil {
		return err
	}
	return c.processes[at].cmd.Process.Signal(s)
}

func (c *ControlPlane) part(name string) (int, error) {
	at := slices.IndexFunc(c.processes, func(p *process) bool { return p.name == name })
	if at < 0 {
		return 0, fmt.Errorf("the control plane in %s has no part %q", c.dir, name)
	}
	return at, nil
}
