package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a process may take to end after SIGTERM before it is killed.
const stopGrace = 5 * time.Second

// group is a process group of its own: an interrupt typed in the terminal does not reach it, so
// that its members are stopped in order, and it ends with us even if we are killed.
type group struct {
	keeper *exec.Cmd
	alive  io.Closer
}

// newGroup starts a shell that waits for the end of its standard input, which comes when the
// group is closed or this process dies in whatever way, and then kills the group, itself included.
func newGroup() (*group, error) {
	keeper := exec.Command("/bin/sh", "-c", "read -r _; kill -9 0")
	keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	alive, err := keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := keeper.Start(); err != nil {
		return nil, fmt.Errorf("starting the process group's keeper: %w", err)
	}
	return &group{keeper: keeper, alive: alive}, nil
}

// close kills what is left of the group.
func (g *group) close() {
	g.alive.Close()
	g.keeper.Wait() // killed by its own hand: always an error
}

// process is one running program, its output in a log file.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended
	err  error         // why it ended; read only after done
}

// start runs a program in dir with the log dir/<name>.log. The environment has only what a program
// needs to find itself: nothing of the user's configuration.
func (g *group) start(dir, program string, args ...string) (*process, error) {
	name := filepath.Base(program)
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir = dir
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "OTEL_TRACES_EXPORTER=none"}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: g.keeper.Process.Pid}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return
	case <-time.After(stopGrace):
	}
	p.cmd.Process.Kill()
	<-p.done
}

// ended says why the process is not running any more; nil while it runs.
func (p *process) ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	return fmt.Errorf("%s ended: %w\n%s", p.name, err, p.tail())
}

// until asks check again and again until it returns nil, one of the processes ends or ctx does.
// The newest process's log explains a delay.
func until(ctx context.Context, processes []*process, what string, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		for _, p := range processes {
			if ended := p.ended(); ended != nil {
				return ended
			}
		}
		select {
		case <-ctx.Done():
			newest := processes[len(processes)-1]
			return fmt.Errorf("waiting until %s: %w (last answer: %w)\n%s: %s", what, ctx.Err(), err, newest.name, newest.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tail returns the log's last lines.
func (p *process) tail() string {
	const lines, bytes = 15, 8 << 10
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	data = data[max(0, len(data)-bytes):]
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
