package bump

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	actRefs  = "bare ls-refs of the branch, protocol v2"
	actIdle  = "an idle pass, a process of its own"
	actWatch = "an idle pass of --watch"
	actKept  = actWatch + " --scan-interval 1h"
	actOne   = "one update"
	actMany  = "100 updates"
)

// automate is one pass as a process of its own.
func (g *ground) automate(ctx context.Context) (Cost, error) {
	return g.act(ctx, ours, g.Sealift, "automate", "--repo", g.url, "--branch", "main")
}

// idle passes find nothing to do.
func (g *ground) idle(ctx context.Context) ([]Cost, error) {
	refs, err := g.repeat(actRefs, func() (Cost, error) { return g.bareRefs(ctx) })
	if err != nil {
		return nil, err
	}
	refs.Yardstick = true
	// The first pass may leave state in the repository.
	if _, err := g.automate(ctx); err != nil {
		return nil, err
	}
	idle, err := g.repeat(actIdle, func() (Cost, error) { return g.automate(ctx) })
	return []Cost{refs, idle}, err
}

// watches are idle passes of one process: with tags listed in each, and with lists that count for
// an hour unless a notification comes.
func (g *ground) watches(ctx context.Context) ([]Cost, error) {
	var costs []Cost
	for act, more := range map[string][]string{actWatch: nil, actKept: {"--scan-interval", "1h"}} {
		c, err := g.watch(ctx, act, more)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", act, err)
		}
		costs = append(costs, c)
	}
	slices.SortFunc(costs, func(a, b Cost) int { return strings.Compare(a.Act, b.Act) })
	return costs, nil
}

// watch counts the passes of one process after its first ones.
func (g *ground) watch(ctx context.Context, act string, more []string) (Cost, error) {
	fmt.Fprintln(g.Out, act)
	args := append([]string{"automate", "--repo", g.url, "--branch", "main", "--watch", "--interval", "1s"}, more...)
	cmd := exec.CommandContext(ctx, g.Sealift, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = g.Dir, g.Environment, nil
	if err := cmd.Start(); err != nil {
		return Cost{}, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // by the signal: always an error, or none
	}()
	first, err := g.quiet(ctx, g.now(ours))
	if err != nil {
		return Cost{}, err
	}
	last, passes := first, int64(0)
	for ; passes < int64(2*g.Runs); passes++ {
		if last, err = g.quiet(ctx, last); err != nil {
			return Cost{}, err
		}
	}
	c := last.since(first)
	c.GitRequests /= passes
	c.GitReceived /= passes
	c.GitSent /= passes
	c.RegistryRequests /= passes
	c.RegistryBytes /= passes
	c.Act, c.PeakBytes = act, peak(cmd.Process.Pid)
	return c, nil
}

// quiet waits for requests after those that were counted, and then for 200 ms without any: the
// end of a pass.
func (g *ground) quiet(ctx context.Context, counted Cost) (Cost, error) {
	const step, steps = 20 * time.Millisecond, 10
	deadline := time.Now().Add(30 * time.Second)
	for still, last := 0, counted; ; {
		select {
		case <-ctx.Done():
			return counted, ctx.Err()
		case <-time.After(step):
		}
		now := g.now(ours)
		if still++; now != last {
			still, last = 0, now
		}
		if still >= steps && now != counted {
			return now, nil
		}
		if time.Now().After(deadline) {
			return counted, fmt.Errorf("waiting for a pass of --watch: none came in 30 s")
		}
	}
}

// peak is what was resident at most; 0 where the system does not tell.
func peak(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return kilobytes(string(data), "VmHWM:") << 10
}

// bumps are updates, the automator's and git's in turn, so that both have the same machine.
func (g *ground) bumps(ctx context.Context) ([]Cost, error) {
	var costs []Cost
	for _, n := range []int{1, marked} {
		act, peer := actOne, "git clone --depth 1, one change, commit, push"
		if n > 1 {
			act, peer = actMany, "git clone --depth 1, 100 changes, commit, push"
		}
		c, err := g.repeat(act, func() (Cost, error) {
			g.version++
			for i := range n {
				g.shelf.put(app(i), fmt.Sprintf("1.0.%d", g.version))
			}
			c, err := g.automate(ctx)
			if err == nil && c.Commits == 0 {
				err = fmt.Errorf("no commit was made for 1.0.%d", g.version)
			}
			return c, err
		})
		if err != nil {
			return nil, err
		}
		yardstick, err := g.repeat(peer, func() (Cost, error) {
			g.version++
			return g.byHand(ctx, n)
		})
		if err != nil {
			return nil, err
		}
		yardstick.Yardstick = true
		costs = append(costs, c, yardstick)
	}
	return costs, nil
}

// byHand is what a script does that knows what to write.
func (g *ground) byHand(ctx context.Context, n int) (Cost, error) {
	work := filepath.Join(g.Dir, "clone")
	if err := os.RemoveAll(work); err != nil {
		return Cost{}, err
	}
	which := "0000"
	if n > 1 {
		which = "*"
	}
	script := fmt.Sprintf(`set -e
git clone --quiet --depth 1 %s %s
cd %[2]s
sed -i 's|:1\.0\.[0-9]* # {|:1.0.%d # {|' apps/*/%s.yaml
git -c user.name=Ada -c user.email=ada@example.com commit --quiet --all --message bump
git push --quiet origin HEAD:main`, g.peer, work, g.version, which)
	c, err := g.act(ctx, theirs, "/bin/sh", "-c", script)
	if err == nil && c.Commits != 1 {
		err = fmt.Errorf("git made %d commits", c.Commits)
	}
	return c, err
}
