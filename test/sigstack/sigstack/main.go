// Command sigstack is a Sigstore instance for tests, all of it on 127.0.0.1: Fulcio with a
// certificate authority of its own, a certificate transparency log, a timestamp authority and
// issuers of identity tokens in this process, and Rekor v2 as a child.
//
//	sigstack [-rekor PROGRAM] DIR
//
// writes DIR/trusted_root.json, DIR/signing_config.json and at last DIR/state.json, which says
// where everything listens, and runs until it is interrupted or the pipe of its standard input is
// closed. Each run has keys of its own: a second one is a stranger to the first.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	rekor := flag.String("rekor", "", "the program rekor; by default the one beside this program")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: sigstack [-rekor PROGRAM] DIR")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchInput(cancel)
	if err := run(ctx, *rekor, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "sigstack:", err)
		os.Exit(1)
	}
}

// watchInput calls end when the other side of a pipe at standard input goes away. A terminal or
// the null device mean nothing.
func watchInput(end func()) {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		end()
	}()
}

// run starts everything, tells where, and serves until ctx ends.
func run(ctx context.Context, rekor, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if rekor == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		rekor = filepath.Join(filepath.Dir(self), "rekor")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	s, err := start(ctx, rekor, dir)
	if err != nil {
		return err
	}
	defer s.rekor.stop()
	if err := s.write(dir); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.rekor.done:
		return fmt.Errorf("rekor ended: %w; hint: its log is %s", s.rekor.err, s.rekor.log)
	}
}
