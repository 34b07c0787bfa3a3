// Command sealift delivers what is in Git to Kubernetes through an OCI registry,
// signed by default.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sealift.dev/internal/text"
)

// maxMessage bounds what an error says: registries and API servers write in it.
const maxMessage = 16 << 10

func main() {
	time.Local = time.UTC // a chart can ask for the machine's zone: {{ now.Local }}
	os.Exit(run(os.Args[1:], streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// run executes one command line and returns its exit code. A first signal ends
// the work in order, a second one at once.
func run(args []string, s streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := newRootCommand(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(s.Err, "sealift: %s\n", printable(text.Clip(err.Error(), maxMessage)))
	}
	code := exitCode(err)
	if code == exitUsage {
		fmt.Fprintln(s.Err, `hint: "sealift COMMAND --help" lists the flags, with examples`)
	}
	return code
}
