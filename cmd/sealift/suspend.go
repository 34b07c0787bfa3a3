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
	every      bool
	wait       bool
	timeout    time.Duration
}

func newSuspendCommand(s streams) *cobra.Command {
	o := suspendOptions{suspend: true}
	cmd := &cobra.Command{
		Use:   "suspend NAME... | --all",
		Short: "Stop deliveries and drift correction",
		Long: `Stop deliveries and drift correction. What runs stays as it is, also when it is
changed by hand, until "sealift resume".`,
		Example: `  sealift suspend shop -n shop
  sealift suspend --all -n shop`,
		Args:              nameArgs(&o.every),
		ValidArgsFunction: o.deliveries.complete(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	o.deliveries.register(cmd.Flags())
	cmd.Flags().BoolVar(&o.every, "all", false, "all Deliveries of the namespace")
	return cmd
}

func newResumeCommand(s streams) *cobra.Command {
	var o suspendOptions
	cmd := &cobra.Command{
		Use:   "resume NAME... | --all",
		Short: "Let suspended deliveries go on",
		Long: `Let suspended deliveries go on. What drifted meanwhile is corrected, and the newest
release is delivered. With --wait the command waits until they are ready, and
exits with 1 when one is not.`,
		Example: `  sealift resume shop -n shop --wait
  sealift resume --all -n shop`,
		Args:              nameArgs(&o.every),
		ValidArgsFunction: o.deliveries.complete(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	flags := cmd.Flags()
	o.deliveries.register(flags)
	flags.BoolVar(&o.every, "all", false, "all Deliveries of the namespace")
	flags.BoolVar(&o.wait, "wait", false, "wait until they are ready")
	flags.DurationVar(&o.timeout, "timeout", defaultWait, "how long to wait")
	return cmd
}

func (o *suspendOptions) run(ctx context.Context, s streams, names []string) error {
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	if names, err = selected(ctx, client, namespace, names); err != nil {
		return err
	}
	var failed []error
	var tickets []console.Ticket
	for _, name := range names {
		ticket, changed, err := client.Suspend(ctx, namespace, name, o.suspend)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		tickets = append(tickets, ticket)
		fmt.Fprintf(s.Err, "delivery %s/%s %s\n", namespace, name, o.done(changed))
	}
	if !o.wait {
		return errors.Join(failed...)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for _, ticket := range tickets {
		now, err := client.Wait(ctx, ticket)
		if err == nil {
			err = answered(s, "", now)
		}
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
