package test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"sealift.dev/test/stage"
)

// assassin kills a process at one of the requests that it makes, before or after the answer.
type assassin struct {
	mu     sync.Mutex
	victim *exec.Cmd // nil: nobody
	left   int       // requests until it strikes
	after  bool
	struck bool
}

// begin starts the victim, which is killed at its n-th request.
func (a *assassin) begin(victim *exec.Cmd, n int, after bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.victim, a.left, a.after, a.struck = victim, n, after, false
	return victim.Start()
}

func (a *assassin) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := a.counts()
		if now && !a.after {
			a.strike()
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
		if now {
			a.strike()
		}
	})
}

// counts a request, and says whether it is the one.
func (a *assassin) counts() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.victim == nil {
		return false
	}
	a.left--
	return a.left == 0
}

func (a *assassin) strike() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.struck = a.victim.Process.Kill() == nil
}

// TestAutomateKilled kills the automator with SIGKILL at each request that it makes, before the
// answer and after it: the branch is where it was or has the whole update, the repository is
// sound, and the next pass ends with the update made once.
func TestAutomateKilled(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(map[bool]string{false: "before", true: "after"}[after], func(t *testing.T) {
			t.Parallel()
			killer := &assassin{}
			y := newYard(t, yardOptions{registry: killer.wrap, git: stage.GitOptions{Wrap: killer.wrap}})
			y.tag("shop", "1.0.0")
			y.commit("one", map[string]string{
				"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0", "pin: IfNotPresent")), "a.yaml": y.runs("shop", "1.0.0"), "b.yaml": y.runs("shop", "1.0.0")})
			killed := 0
			for n := 1; ; n++ {
				tag := fmt.Sprintf("1.%d.0", n)
				y.tag("shop", tag)
				victim := y.command("automate", "--repo", y.url, "--branch", "main")
				must(t, killer.begin(victim, n, after))
				_ = victim.Wait() // it was killed, mostly
				killer.mu.Lock()
				struck := killer.struck
				killer.victim = nil
				killer.mu.Unlock()
				if a, b := strings.Contains(y.show("main", "a.yaml"), tag), strings.Contains(y.show("main", "b.yaml"), tag); a != b {
					t.Errorf("killed at request %d, half of the update is there", n)
				}
				y.automate()
				y.holds(map[string]string{"a.yaml": "shop:" + tag + "@", "b.yaml": "shop:" + tag + "@"})
				if subjects := strings.Count(strings.Join(y.log("%s"), "\n"), tag); subjects != 1 {
					t.Errorf("killed at request %d, the update is there %d times: %q", n, subjects, y.log("%s"))
				}
				if !struck {
					break
				}
				killed++
			}
			if killed < 4 {
				t.Errorf("killed at %d requests only", killed)
			}
			t.Logf("killed at %d requests", killed)
			y.sound()
		})
	}
}
