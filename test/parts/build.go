package parts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// build makes one part in a scratch folder and moves it into dir when it is whole.
func build(ctx context.Context, out io.Writer, part Part, source, dir string) (err error) {
	scratch, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)

	fmt.Fprintf(out, "building %s %s (about %s the first time) ", part.Name, part.Version, part.Cold)
	started := time.Now()
	dots := beat(out)
	defer func() {
		dots()
		if err != nil {
			fmt.Fprintln(out, "failed")
			return
		}
		fmt.Fprintf(out, "done in %.0f s\n", time.Since(started).Seconds())
	}()

	program, err := compile(ctx, part, source, scratch)
	if err != nil {
		return err
	}
	if len(part.Stages) > 0 {
		if err := stages(ctx, part, filepath.Join(scratch, "stages.yaml")); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(scratch, "stages.yaml"), filepath.Join(dir, "stages.yaml")); err != nil {
			return err
		}
	}
	return os.Rename(program, filepath.Join(dir, part.Name))
}

// compile returns the path of the new program.
func compile(ctx context.Context, part Part, source, scratch string) (string, error) {
	link := strings.TrimSpace("-s -w " + part.Flags)
	if part.Module == "" {
		program := filepath.Join(scratch, part.Name)
		_, err := run(ctx, source, nil, "build", "-trimpath", "-ldflags", link, "-o", program, "./"+part.Name)
		return program, err
	}
	env := []string{"GOBIN=" + scratch}
	_, err := run(ctx, scratch, env, "install", "-trimpath", "-ldflags", link, part.Module+"@"+part.Version)
	return filepath.Join(scratch, filepath.Base(part.Module)), err
}

// stages concatenates the part's YAML files into one stream.
func stages(ctx context.Context, part Part, path string) error {
	module, _, _ := strings.Cut(part.Module, "/cmd/")
	answer, err := run(ctx, filepath.Dir(path), nil, "mod", "download", "-json", module+"@"+part.Version)
	if err != nil {
		return err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(answer, &downloaded); err != nil {
		return fmt.Errorf("reading go mod download's answer: %w", err)
	}
	var stream bytes.Buffer
	for _, pattern := range part.Stages {
		files, err := filepath.Glob(filepath.Join(downloaded.Dir, filepath.FromSlash(pattern)))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("%s has no %s", module, pattern)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			fmt.Fprintf(&stream, "---\n%s\n", data)
		}
	}
	return os.WriteFile(path, stream.Bytes(), 0o644)
}

// run runs the go command for this machine, whatever the caller's environment builds for.
func run(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off", "GOOS=", "GOARCH=")
	cmd.Env = append(cmd.Env, env...)
	cmd.WaitDelay = 5 * time.Second
	var log bytes.Buffer
	cmd.Stderr = &log
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, tail(log.String(), 20))
	}
	return answer, nil
}

// beat writes a dot every ten seconds until the returned function is called.
func beat(out io.Writer) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprint(out, ".")
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
	}
}
