// Command run keeps a stage running in the background: "run up" starts it and prints its addresses
// as shell assignments, "run down" stops it. Its data, logs and process id are in the folder .run.
// "run sigstore" runs a Sigstore instance until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const folder = ".run"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "up":
		return up(ctx, folder)
	case len(args) == 1 && args[0] == "down":
		return down(ctx, folder)
	case len(args) == 1 && args[0] == "sigstore":
		return sigstore(ctx, filepath.Join(folder, "sigstore"), os.Stdout)
	case len(args) == 2 && args[0] == "serve": // what up starts
		return serve(ctx, args[1])
	}
	return errors.New("usage: run up|down|sigstore")
}
