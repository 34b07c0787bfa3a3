package folder

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const childVar = "SEALIFT_FOLDER_CHILD"

func TestMain(m *testing.M) {
	if at := os.Getenv(childVar); at != "" {
		replaceForever(at)
	}
	os.Exit(m.Run())
}

// replaceForever is the process that is killed.
func replaceForever(at string) {
	f, err := Open(at)
	for n := os.Getpid() * 10_000; err == nil; n++ { // no version is there yet
		if err = f.Remember(fmt.Appendf(nil, "state %d", n)); err == nil {
			_, err = f.Show(fmt.Sprint("v", n), content(n))
		}
		fmt.Println("shown")
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKilled kills a process while it replaces: whatever it was about to do, the
// link leads to a whole version, and the next process goes on.
func TestKilled(t *testing.T) {
	at := filepath.Join(t.TempDir(), "shop")
	for range 12 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childVar+"="+at)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 3 {
			if !lines.Scan() {
				t.Fatal("the process ended by itself")
			}
		}
		time.Sleep(rand.N(20 * time.Millisecond))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		a, errA := os.ReadFile(filepath.Join(at, "prod", "a.yaml"))
		b, errB := os.ReadFile(filepath.Join(at, "prod", "deep", "b.yaml"))
		if errA != nil || errB != nil || len(a) == 0 || string(a) != string(b) {
			t.Fatalf("%q %v, %q %v", a, errA, b, errB)
		}
		if state, err := open(t, at).State(); err != nil || len(state) < len("state 0") {
			t.Fatalf("%q %v", state, err)
		}
	}
}
