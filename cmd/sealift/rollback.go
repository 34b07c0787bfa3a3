package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealift.dev/synchronizer/console"
)

type rollbackOptions struct {
	deliveries deliveryFlags
	to         string
	list, undo bool
	wait       bool
	timeout    time.Duration
	output     string
}

func newRollbackCommand(s streams) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Pin a Delivery to an earlier release, or let it follow its source again",
		Long: `Pin a Delivery to an earlier release of its history, by digest. It is verified like
any other. What the source followed is remembered: --undo lets it go on.

Without --to it is the release before the one that runs, or the last good one while
a newer one has failed. Where Git says what the Delivery is, roll back there: what
is changed here is undone by whoever applies it.`,
		Example: `  sealift rollback shop -n shop --list
  sealift rollback shop -n shop --to 1.4.0 --wait
  sealift rollback shop -n shop --undo`,
		Args:              oneArg,
		ValidArgsFunction: o.deliveries.complete(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	flags := cmd.Flags()
	o.deliveries.register(flags)
	flags.StringVar(&o.to, "to", "", "digest, or its first eight digits, or version of the release (default the one before)")
	_ = cmd.RegisterFlagCompletionFunc("to", completeRelease) // fails without the flag
	flags.BoolVar(&o.list, "list", false, "only list the releases that it can go back to")
	flags.BoolVar(&o.undo, "undo", false, "follow the source again as before the rollback")
	flags.BoolVar(&o.wait, "wait", false, "wait until it is done")
	flags.DurationVar(&o.timeout, "timeout", defaultWait, "how long to wait")
	outputFlag(cmd, &o.output, "output format of --list and of --wait", "json", "yaml")
	return cmd
}

func (o *rollbackOptions) run(ctx context.Context, s streams, name string) error {
	if err := checkOutput(o.output, "", "json", "yaml"); err != nil {
		return err
	}
	switch {
	case o.list && o.undo || o.to != "" && (o.list || o.undo):
		return usage(errors.New("--to, --list and --undo go without each other"))
	case o.output != "" && !o.list && !o.wait:
		return usage(errors.New("-o goes with --list or --wait"))
	}
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	if o.list {
		past, err := client.History(ctx, namespace, name)
		if err != nil {
			return err
		}
		if o.output != "" {
			return printDocument(s.Out, o.output, past)
		}
		if len(past) == 0 {
			fmt.Fprintln(s.Err, "no release has become healthy so far")
			return nil
		}
		return printPast(s.Out, past)
	}
	rolled, err := o.change(ctx, client, namespace, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "delivery %s/%s follows %s%s, no longer %s\n", namespace, name, oneLine(rolled.Source), detail(" (version %s)", oneLine(rolled.To.Version)), oneLine(rolled.Before))
	if len(rolled.Managers) > 0 {
		fmt.Fprintf(s.Err, "warning: %s also sets its source, and may undo this; hint: change it there\n", oneLine(strings.Join(rolled.Managers, ", ")))
	}
	if !o.wait {
		return nil
	}
	now, err := await(ctx, s, client, o.timeout, []console.Ticket{rolled.Ticket})
	if o.output != "" && len(now) > 0 {
		err = errors.Join(err, printDocument(s.Out, o.output, now[0]))
	}
	return err
}

func (o *rollbackOptions) change(ctx context.Context, client *console.Client, namespace, name string) (console.Rolled, error) {
	if o.undo {
		return client.Unpin(ctx, namespace, name)
	}
	return client.Rollback(ctx, namespace, name, o.to)
}

func printPast(w io.Writer, past []console.Past) error {
	lines := [][]string{{"", "DIGEST", "VERSION", "REVISION", "SIGNED BY", "DELIVERED"}}
	running := slices.IndexFunc(past, func(p console.Past) bool { return p.Applied }) // it may be there twice
	for i, p := range past {
		mark, when := "", "-"
		if i == running {
			mark = "*"
		}
		if p.Delivered != nil {
			when = p.Delivered.UTC().Format(time.RFC3339)
		}
		lines = append(lines, []string{mark, p.Digest, orElse(p.Version, "-"), orElse(p.Revision, "-"), orElse(strings.Join(p.SignedBy, ","), "-"), when})
	}
	return (&table{to: w}).print(lines)
}
