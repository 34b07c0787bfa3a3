package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// usage is what one run of a program took.
type usage struct {
	Seconds   float64 `json:"seconds"`
	CPU       float64 `json:"cpuSeconds"`
	PeakBytes int64   `json:"peakBytes"` // resident
	WireBytes int64   `json:"wireBytes"` // both directions, headers included
}

// measure runs a program in the workshop's folder by way of a small process: a child's peak begins
// with that of the process that started it, and this one holds a registry.
func (w *workshop) measure(ctx context.Context, program string, args ...string) (usage, error) {
	self, err := os.Executable()
	if err != nil {
		return usage{}, err
	}
	before := w.registry.bytes()
	cmd := exec.CommandContext(ctx, self, append([]string{"measure", program}, args...)...)
	cmd.Dir, cmd.Env = w.dir, w.environment()
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return usage{}, fmt.Errorf("%s %s: %w: %s", program, args, err, problem.String())
	}
	var u usage
	if err := json.Unmarshal(out, &u); err != nil {
		return usage{}, err
	}
	u.WireBytes = w.registry.bytes() - before
	return u, nil
}

// measureChild runs a program and writes its usage to standard output.
func measureChild(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: bench measure PROGRAM [ARGUMENT...]")
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	started := time.Now()
	if err := cmd.Run(); err != nil {
		return err
	}
	state, took := cmd.ProcessState, time.Since(started)
	used, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system does not tell what a process used")
	}
	return json.NewEncoder(os.Stdout).Encode(usage{
		Seconds: took.Seconds(), CPU: (state.UserTime() + state.SystemTime()).Seconds(), PeakBytes: int64(used.Maxrss) << 10,
	})
}

// median is the middle of an odd number of runs, and of an even one the lower of the middle two.
func median[T int64 | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// medians takes each figure on its own.
func medians(runs []usage) usage {
	pick := func(of func(usage) float64) float64 {
		var values []float64
		for _, u := range runs {
			values = append(values, of(u))
		}
		return median(values)
	}
	return usage{
		Seconds:   pick(func(u usage) float64 { return u.Seconds }),
		CPU:       pick(func(u usage) float64 { return u.CPU }),
		PeakBytes: int64(pick(func(u usage) float64 { return float64(u.PeakBytes) })),
		WireBytes: int64(pick(func(u usage) float64 { return float64(u.WireBytes) })),
	}
}
