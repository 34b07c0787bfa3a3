package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
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
		Use:   "reconcile NAME",
		Short: "Ask for a pass now, and wait for what comes of it",
		Long: `Ask the synchronizer to look at the registry now. A release that failed before is
tried again. The command waits until the pass is done and the release is healthy,
or something is in its way; then it exits with 1.`,
		Example: `  sealift reconcile shop -n shop
  sealift reconcile shop -n shop --wait=false`,
		Args:              oneArg,
		ValidArgsFunction: o.deliveries.complete(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	flags := cmd.Flags()
	o.deliveries.register(flags)
	flags.BoolVar(&o.wait, "wait", true, "wait until it is done")
	flags.DurationVar(&o.timeout, "timeout", defaultWait, "how long to wait")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json, yaml")
	return cmd
}

func (o *reconcileOptions) run(ctx context.Context, s streams, name string) error {
	if err := checkOutput(o.output, "", "json", "yaml"); err != nil {
		return err
	}
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	ticket, err := client.Reconcile(ctx, namespace, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "delivery %s/%s: a pass is asked for\n", namespace, name)
	if !o.wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	now, err := client.Wait(ctx, ticket)
	if err != nil {
		return err
	}
	return answered(s, o.output, now)
}
