package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test program be a parent that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "parent" {
		if err := parent(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// parent starts a program, prints its id and waits for its own end.
func parent(dir string) error {
	g, err := newGroup()
	if err != nil {
		return err
	}
	p, err := g.start(dir, "/bin/sleep", "600")
	if err != nil {
		return err
	}
	fmt.Println(p.cmd.Process.Pid)
	select {}
}

func TestKilledParentLeavesNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0], "parent", t.TempDir())
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child, 0); err != nil {
		t.Fatalf("the child does not run: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(child); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			syscall.Kill(child, syscall.SIGKILL)
			t.Fatal("the child outlives its killed parent")
		}
	}
}

// alive takes a zombie, which waits for an init that does not come in a container, for dead.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil && strings.Contains(string(stat), ") Z ") {
		return false
	}
	return syscall.Kill(pid, 0) == nil
}

func TestEndedProcessShowsItsLog(t *testing.T) {
	g, err := newGroup()
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	program := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no such flag >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := g.start(t.TempDir(), program)
	if err != nil {
		t.Fatal(err)
	}
	never := errors.New("not yet")
	err = until(t.Context(), []*process{p}, "it answers", func(context.Context) error { return never })
	if err == nil || !strings.Contains(err.Error(), "part ended: exit status 3\nno such flag") {
		t.Errorf("got %v, want the exit status and the log", err)
	}
}

func TestProcessThatIgnoresTermIsKilled(t *testing.T) {
	g, err := newGroup()
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	program := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.1; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := g.start(t.TempDir(), program)
	if err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(p.tail(), "ready") {
		time.Sleep(10 * time.Millisecond)
	}
	p.stop()
	if p.ended() == nil {
		t.Error("it runs after stop")
	}
}
