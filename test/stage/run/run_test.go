package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test program be what up starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestUpAndDown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".run")
	if err := up(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	defer down(t.Context(), dir)
	first, err := holder(dir)
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"KUBECONFIG=", "REGISTRY=", "GIT="} {
		if !strings.Contains(string(addresses), "export "+name) {
			t.Errorf("%s is not among the addresses:\n%s", name, addresses)
		}
	}

	if err := up(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if second, err := holder(dir); err != nil || second != first {
		t.Errorf("the second up started process %d beside %d (%v)", second, first, err)
	}

	if err := down(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(first, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives after down", first)
		}
	}
	if running, err := runs(dir); err != nil || running {
		t.Errorf("running %v, %v after down", running, err)
	}
	if err := down(t.Context(), dir); err != nil {
		t.Errorf("the second down: %v", err)
	}
}

func TestStaleProcessIDIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, lockFile), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if running, err := runs(dir); err != nil || running {
		t.Errorf("running %v, %v with nobody holding the lock", running, err)
	}
	held, err := hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if running, err := runs(dir); err != nil || !running {
		t.Errorf("running %v, %v with the lock held", running, err)
	}
}
