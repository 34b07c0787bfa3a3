package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sealift.dev/internal/text"
	"sealift.dev/synchronizer"
	"sealift.dev/verify"
)

// streams are where a command reads and writes: data to Out, words for people to Err.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

func newRootCommand(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "sealift",
		Short: "Deliver what is in Git to Kubernetes through an OCI registry, signed by default",
		Long: `Sealift delivers what is in Git to Kubernetes through an OCI registry.

  sealift publish    packages a Git commit into a signed, immutable release
  sealift sync       verifies releases, applies them, and keeps the cluster there
  sealift automate   commits newer image versions back to Git

Exit codes: 0 done, 1 error, 2 usage, 3 the release is not trusted, 4 differences
(with --exit-code), 5 nothing matched.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(
		newPublishCommand(s),
		newVerifyCommand(s),
		newInspectCommand(s),
		newPullCommand(s),
		newCopyCommand(s),
		newDiffCommand(s),
		newSyncCommand(s),
		newGetCommand(s),
		newTreeCommand(s),
		newTraceCommand(s),
		newEventsCommand(s),
		newReconcileCommand(s),
		newSuspendCommand(s),
		newResumeCommand(s),
		newConfirmCommand(s),
		newRollbackCommand(s),
		newAutomateCommand(s),
		newImagesCommand(s),
		newInstallCommand(s),
		newUninstallCommand(s),
		newKeysCommand(s),
		newPolicyCommand(s),
		newVersionCommand(s),
	)
	completeFlags(root)
	return root
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usage(err error) error { return usageError{err} }

// Exit codes.
const (
	exitError     = 1
	exitUsage     = 2
	exitUntrusted = 3
	exitDifferent = 4
	exitNothing   = 5
)

// exitCode is the one table from errors to exit codes.
func exitCode(err error) int {
	var refusal *verify.Refusal
	var misuse usageError
	var nothing nothingError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &misuse) || strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.As(err, &refusal) && refusal.Reason != verify.Unavailable && refusal.Reason != verify.NotFound:
		return exitUntrusted
	case errors.Is(err, synchronizer.ErrDowngrade), errors.Is(err, synchronizer.ErrEquivocation):
		return exitUntrusted
	case errors.Is(err, errDifferent):
		return exitDifferent
	case errors.As(err, &nothing):
		return exitNothing
	}
	return exitError
}

func noArgs(cmd *cobra.Command, args []string) error  { return exactly(0, cmd, args) }
func oneArg(cmd *cobra.Command, args []string) error  { return exactly(1, cmd, args) }
func twoArgs(cmd *cobra.Command, args []string) error { return exactly(2, cmd, args) }

// exactly makes a wrong number of arguments a usage error that shows the right ones.
func exactly(n int, cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == n:
		return nil
	case n == 0:
		return usage(fmt.Errorf("%q is an argument, and %s takes flags only", args[0], cmd.CommandPath()))
	}
	return usage(fmt.Errorf("%d arguments are given, and %d wanted: %s", len(args), n, cmd.UseLine()))
}

// printable keeps foreign text from speaking to the terminal.
func printable(s string) string { return text.Lines(s) }
