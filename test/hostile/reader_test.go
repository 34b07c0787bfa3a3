package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	overIdle  = 128 << 10 // KiB that reading may take beside an idle process
	hangGuard = time.Minute
)

type (
	job     = Job
	outcome = Outcome
)

// built is the folder of what is built.
var built string

func TestMain(m *testing.M) { os.Exit(all(m)) }

func all(m *testing.M) int {
	var err error
	if built, err = os.MkdirTemp("", "sealift-hostile-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer os.RemoveAll(built)
	return m.Run()
}

// binary and reader are built once for all tests, whatever the tests are built with: a
// race detector takes memory.
var (
	binary = sync.OnceValues(func() (string, error) { return build("sealift", "../../cmd/sealift") })
	reader = sync.OnceValues(func() (string, error) { return build("reader", "./reader") })
)

func build(name, folder string) (string, error) {
	path := filepath.Join(built, name)
	cmd := exec.Command("go", "build", "-o", path, folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", name, err, output)
	}
	return path, nil
}

// run gives a job to a reader, in a folder in which it must not write.
func run(t *testing.T, j job) outcome {
	t.Helper()
	path, err := reader()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), hangGuard)
	defer cancel()
	input, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, path)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "XDG_CACHE_HOME=" + dir}
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	started := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("after %v the reader ended with %v (%v): %s", time.Since(started), err, ctx.Err(), tail(problem.String()))
	}
	var o outcome
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	o.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if written := contents(t, dir); len(written) > 0 {
		t.Errorf("the reader wrote %q", written)
	}
	return o
}

func tail(s string) string {
	const most = 4000
	return s[:min(len(s), most)]
}

// contents lists what is below a folder.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return found
}
