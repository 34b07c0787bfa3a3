package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"sealift.dev/synchronizer/console"
)

type eventsOptions struct {
	deliveries deliveryFlags
	types      []string
	watch      bool
	output     string
}

func newEventsCommand(s streams) *cobra.Command {
	var o eventsOptions
	cmd := &cobra.Command{
		Use:   "events [NAME]",
		Short: "Show the Events of Deliveries and of their objects",
		Long: `Show the Events of a Delivery, of its objects, and of the Jobs, ReplicaSets and Pods
that those made, the newest last; without a name, of all Deliveries.`,
		Example: `  sealift events shop -n shop --watch
  sealift events -A --types Warning`,
		Args:              optionalArg,
		ValidArgsFunction: o.deliveries.complete(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), s, append(args, "")[0])
		},
	}
	flags := cmd.Flags()
	o.deliveries.register(flags)
	o.deliveries.registerAll(flags)
	flags.StringSliceVar(&o.types, "types", nil, "only these types: Normal, Warning")
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on with a line for each Event")
	outputFlag(cmd, &o.output, "output format", "json", "yaml")
	return cmd
}

func optionalArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return exactly(1, cmd, args)
	}
	return nil
}

func (o *eventsOptions) check(name string) error {
	for _, kind := range o.types {
		if kind != "Normal" && kind != "Warning" {
			return usage(fmt.Errorf("--types: %q is none of Normal, Warning", kind))
		}
	}
	if o.deliveries.all && name != "" {
		return usage(errors.New("a name goes without -A: it is one of a namespace"))
	}
	return checkOutput(o.output, "", "json", "yaml")
}

func (o *eventsOptions) run(ctx context.Context, s streams, name string) error {
	if err := o.check(name); err != nil {
		return err
	}
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	journal, err := client.Events(ctx, namespace, name, o.types)
	if err != nil {
		return err
	}
	tellProblems(s, journal.Problems)
	lines := &table{to: s.Out}
	if err := o.print(s, lines, journal.Events); err != nil || !o.watch {
		return err
	}
	err = client.WatchEvents(ctx, namespace, name, o.types, journal, func(e console.Event) error {
		if o.output != "" {
			return printNext(s.Out, o.output, e)
		}
		return lines.print([][]string{eventLine(e)})
	})
	if ctx.Err() != nil {
		return nil // a person ends it
	}
	return err
}

func (o *eventsOptions) print(s streams, to *table, events []console.Event) error {
	if o.output != "" {
		return printDocument(s.Out, o.output, append([]console.Event{}, events...))
	}
	if len(events) == 0 {
		fmt.Fprintln(s.Err, "there are no events")
		if !o.watch {
			return nil
		}
	}
	rows := [][]string{{"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"}}
	for _, e := range events {
		rows = append(rows, eventLine(e))
	}
	return to.print(rows)
}

func eventLine(e console.Event) []string {
	seen := duration.HumanDuration(time.Since(e.Time))
	if e.Count > 1 {
		seen += fmt.Sprintf(" (%d times)", e.Count)
	}
	return []string{seen, e.Type, e.Reason, e.Kind + " " + detail("%s/", e.Namespace) + e.Name, e.Message}
}
