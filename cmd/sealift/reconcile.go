package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer/console"
)

// defaultWait is longer than a Delivery's own default timeout for health.
const defaultWait = 6 * time.Minute

type reconcileOptions struct {
	deliveries deliveryFlags
	wait       bool
	timeout    time.Duration
	output     string
}

func newReconcileCommand(s streams) *cobra.Command {
	var o reconcileOptions
	cmd := &cobra.Command{
		Use:   "reconcile NAME... | -l SELECTOR | --all",
		Short: "Ask for a pass now, and wait for what comes of it",
		Long: `Ask the synchronizer to look at the registry now. A release that failed before is
tried again. The command waits until the pass is done and the release is healthy,
or something is in its way; then it exits with 1.

Chosen by --all or -l, suspended Deliveries are passed over.`,
		Example: `  sealift reconcile shop -n shop
  sealift reconcile shop -n shop --wait=false

  # All of a team, in all namespaces
  sealift reconcile -A -l team=shop`,
		Args:              o.deliveries.nameArgs,
		ValidArgsFunction: o.deliveries.complete(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	flags := cmd.Flags()
	o.deliveries.register(flags)
	o.deliveries.registerMany(flags)
	flags.BoolVar(&o.wait, "wait", true, "wait until it is done")
	flags.DurationVar(&o.timeout, "timeout", defaultWait, "how long to wait")
	outputFlag(cmd, &o.output, "output format", "json", "yaml")
	return cmd
}

func (o *reconcileOptions) run(ctx context.Context, s streams, names []string) error {
	if err := checkOutput(o.output, "", "json", "yaml"); err != nil {
		return err
	}
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	chosen, err := o.deliveries.selected(ctx, s, client, namespace, names)
	if err != nil {
		return err
	}
	tickets, failed := o.ask(ctx, s, client, chosen, len(names) > 0)
	if !o.wait {
		return failed
	}
	now, err := await(ctx, s, client, o.timeout, tickets)
	if o.output != "" && len(now) > 0 {
		var printed any = now
		if len(names) == 1 {
			printed = now[0]
		}
		err = errors.Join(err, printDocument(s.Out, o.output, printed))
	}
	return errors.Join(failed, err)
}

// ask asks for a pass of each. A suspended Delivery that was not named is no failure.
func (o *reconcileOptions) ask(ctx context.Context, s streams, client *console.Client, chosen []types.NamespacedName, named bool) ([]console.Ticket, error) {
	var tickets []console.Ticket
	var failed []error
	for _, d := range chosen {
		ticket, err := client.Reconcile(ctx, d.Namespace, d.Name)
		switch {
		case errors.Is(err, console.ErrSuspended) && !named:
			fmt.Fprintf(s.Err, "delivery %s is suspended, and passed over\n", d)
		case err != nil:
			failed = append(failed, err)
		default:
			tickets = append(tickets, ticket)
			fmt.Fprintf(s.Err, "delivery %s: a pass is asked for\n", d)
		}
	}
	return tickets, errors.Join(failed...)
}
