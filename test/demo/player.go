package main

import (
	"bufio"
	"bytes"
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

	"sealift.dev/test/stage"
	"sealift.dev/test/stage/keys"
)

// player runs the commands that the transcript shows, and asserts what they do.
type player struct {
	out     io.Writer
	sealift string // the binary
	stage   *stage.Stage
	dir     string
	began   time.Time
	scene   int

	sync       *exec.Cmd
	repository string // the Git URL
	work       string // a clone
	ci         keys.Pair
	stranger   keys.Pair
}

func (p *player) host() string    { return p.stage.Registry.Host }
func (p *player) release() string { return "oci://" + p.host() + "/deploy/shop" }

func (p *player) kubectl() string { return filepath.Join(p.stage.Bin, "kubectl") }

func (p *player) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

func (p *player) title(text string) {
	p.scene++
	p.say("\n%d. %s", p.scene, text)
}

// pass tells what was asserted.
func (p *player) pass(format string, args ...any) { p.say("   ✓ "+format, args...) }

// run shows a command line, runs it and shows what it printed.
func (p *player) run(ctx context.Context, name string, args ...string) (string, error) {
	p.say("   $ %s %s", name, strings.Join(quoted(args), " "))
	output, err := p.quiet(ctx, name, args...)
	for line := range strings.Lines(output) {
		p.say("     %s", strings.TrimRight(line, "\n"))
	}
	return output, err
}

// quiet runs a command without showing it. Nothing of the user's own
// configuration of kubectl, Docker or Git reaches it.
func (p *player) quiet(ctx context.Context, name string, args ...string) (string, error) {
	program := map[string]string{"sealift": p.sealift, "kubectl": p.kubectl()}[name]
	if program == "" {
		program = name
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = p.work
	cmd.Env = p.environment()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: exit code %d: %s", name, args[0], exit.ExitCode(), strings.TrimSpace(output.String()))
	}
	return output.String(), err
}

func (p *player) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + p.dir,
		"KUBECONFIG=" + p.stage.Kubeconfig,
		"DOCKER_CONFIG=" + p.dir,
		"COSIGN_PASSWORD=demo",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
	}
}

func quoted(args []string) []string {
	var shown []string
	for _, arg := range args {
		if strings.ContainsAny(arg, " {}$*?\"'") {
			arg = "'" + arg + "'"
		}
		shown = append(shown, arg)
	}
	return shown
}

// startSync runs `sealift sync` as the user "sealift", who has the rights that
// the manifests give and no others.
func (p *player) startSync() error {
	log, err := os.Create(p.logPath())
	if err != nil {
		return err
	}
	defer log.Close()
	p.say("   $ sealift sync --namespace sealift-system &     # as a user with the rights of the component rbac")
	p.sync = exec.Command(p.sealift, "sync", "--namespace", "sealift-system", "--kubeconfig", p.stage.SealiftKubeconfig)
	p.sync.Env = p.environment()
	p.sync.Stdout, p.sync.Stderr = log, log
	return p.sync.Start()
}

func (p *player) stopSync() {
	if p.sync == nil {
		return
	}
	p.sync.Process.Signal(syscall.SIGTERM)
	p.sync.Wait()
}

func (p *player) logPath() string { return filepath.Join(p.dir, "sync.log") }

func (p *player) showLog() {
	if log, err := os.ReadFile(p.logPath()); err == nil {
		p.say("\nThe synchronizer's log:\n%s", log)
	}
}

// eventually waits until check holds; events in the cluster are watched by
// kubectl wait, this is for what it cannot express.
func eventually(ctx context.Context, what string, check func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		done, err := check()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// keep leaves everything running until the user ends it.
func (p *player) keep(ctx context.Context) {
	p.say(`
Everything is still running. In another terminal:

  export KUBECONFIG=%[1]s
  alias kubectl=%[2]s
  kubectl get deliveries -A
  kubectl describe delivery shop -n shop
  kubectl delete deployment shop -n shop; sleep 1; kubectl get deployments -n shop   # it is back
  git clone %[3]s
  %[4]s verify %[5]s:main --key %[6]s --plain-http

The synchronizer logs to %[7]s. Enter ends it all.`,
		p.stage.Kubeconfig, p.kubectl(), p.repository, p.sealift, p.release(), p.ci.Public, p.logPath())
	enter := make(chan struct{})
	go func() {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
			close(enter)
		}
	}()
	select {
	case <-ctx.Done():
	case <-enter:
	}
}
