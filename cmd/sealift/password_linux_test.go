package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal gives a terminal, and the side on which a person would sit.
func openTerminal(t *testing.T) (terminal, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return terminal, person
}

func shows(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// asking runs password in a terminal, up to where it waits for a person.
func asking(ctx context.Context, t *testing.T) (terminal, person *os.File, done <-chan error, got *[]byte) {
	t.Helper()
	t.Setenv(keyPasswordVar, "")
	os.Unsetenv(keyPasswordVar)
	terminal, person = openTerminal(t)
	ended, got := make(chan error, 1), new([]byte)
	go func() {
		text, err := password(ctx, streams{In: terminal, Err: new(bytes.Buffer)}, "cosign.key")
		*got = text
		ended <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); shows(t, terminal); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody is asked")
		}
	}
	return terminal, person, ended, got
}

func TestPasswordEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	terminal, _, done, _ := asking(ctx, t)
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) || !shows(t, terminal) {
			t.Errorf("%v, and the terminal shows what is typed: %v", err, shows(t, terminal))
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the prompt goes on")
	}
}

func TestPasswordFromATerminal(t *testing.T) {
	terminal, person, done, got := asking(t.Context(), t)
	if _, err := person.WriteString("secret\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || string(*got) != "secret" || !shows(t, terminal) {
		t.Errorf("%q, %v", *got, err)
	}
}

// TestNewPasswordIsAskedForTwice: a slip of the finger must not lock the key for good.
func TestNewPasswordIsAskedForTwice(t *testing.T) {
	for _, test := range []struct{ typed, want string }{{"secret\nsecret\n", "secret"}, {"secret\nsecert\n", ""}} {
		t.Setenv(keyPasswordVar, "")
		os.Unsetenv(keyPasswordVar)
		terminal, person := openTerminal(t)
		if _, err := person.WriteString(test.typed); err != nil {
			t.Fatal(err)
		}
		got, err := newPassword(t.Context(), streams{In: terminal, Err: new(bytes.Buffer)}, "cosign.key")
		if string(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q, %v", got, err)
		}
	}
}
