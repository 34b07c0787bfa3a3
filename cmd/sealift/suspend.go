package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sealift.dev/synchronizer/console"
)

type suspendOptions struct {
	deliveries deliveryFlags
	suspend    bool
	wait       bool
	timeout    time.Duration
}

func newSuspendCommand(s streams) *cobra.Command {
	o := suspendOptions{suspend: true}
	cmd := &cobra.Command{
		Use:   "suspend NAME... | -l SELECTOR | --all",
		Short: "Stop deliveries and drift correction",
		Long: `Stop deliveries and drift correction. What runs stays as it is, also when it is
changed by hand, until "sealift resume".`,
		Example: `  sealift suspend shop -n shop
  sealift suspend --all -n shop

  # All of a team, in all namespaces
  sealift suspend -A -l team=shop`,
		Args:              o.deliveries.nameArgs,
		ValidArgsFunction: o.deliveries.complete(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	o.deliveries.register(cmd.Flags())
	o.deliveries.registerMany(cmd.Flags())
	return cmd
}

func newResumeCommand(s streams) *cobra.Command {
	var o suspendOptions
	cmd := &cobra.Command{
		Use:   "resume NAME... | -l SELECTOR | --all",
		Short: "Let suspended deliveries go on",
		Long: `Let suspended deliveries go on. What drifted meanwhile is corrected, and the newest
release is delivered. With --wait the command waits until they are ready, and
exits with 1 when one is not.`,
		Example: `  sealift resume shop -n shop --wait
  sealift resume --all -n shop`,
		Args:              o.deliveries.nameArgs,
		ValidArgsFunction: o.deliveries.complete(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	flags := cmd.Flags()
	o.deliveries.register(flags)
	o.deliveries.registerMany(flags)
	flags.BoolVar(&o.wait, "wait", false, "wait until they are ready")
	flags.DurationVar(&o.timeout, "timeout", defaultWait, "how long to wait")
	return cmd
}

func (o *suspendOptions) run(ctx context.Context, s streams, names []string) error {
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	chosen, err := o.deliveries.selected(ctx, s, client, namespace, names)
	if err != nil {
		return err
	}
	var failed []error
	var tickets []console.Ticket
	for _, d := range chosen {
		ticket, changed, err := client.Suspend(ctx, d.Namespace, d.Name, o.suspend)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		tickets = append(tickets, ticket)
		fmt.Fprintf(s.Err, "delivery %s %s\n", d, o.done(changed))
	}
	if o.wait {
		_, err := await(ctx, s, client, o.timeout, tickets)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func (o *suspendOptions) done(changed bool) string {
	switch {
	case o.suspend && changed:
		return "is suspended"
	case o.suspend:
		return "was suspended before"
	case changed:
		return "goes on"
	}
	return "was not suspended"
}
