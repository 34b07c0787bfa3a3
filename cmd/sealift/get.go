package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"sealift.dev/internal/text"
	"sealift.dev/synchronizer/console"
)

type getOptions struct {
	deliveries deliveryFlags
	watch      bool
	output     string
}

func newGetCommand(s streams) *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get [NAME...]",
		Short: "Show what is delivered, and how it is",
		Long: `Show Deliveries: whether they are ready, what runs, from which commit, signed by
whom, how many objects are ready and how many drifted, and since when it runs.

-o json and -o yaml print the Deliveries as the API server has them; several are
a List, as of kubectl.`,
		Example: `  # All Deliveries of the cluster
  sealift get -A

  # One of them, with digest and message, and a line for each change
  sealift get shop -n shop -o wide --watch

  # Those that are not ready
  sealift get -A -o json | jq -r '.items[] | select(any(.status.conditions[]; .type == "Ready" and .status != "True")) | .metadata.name'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: o.deliveries.complete(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	flags := cmd.Flags()
	o.deliveries.register(flags)
	o.deliveries.registerAll(flags)
	o.deliveries.registerSelector(flags)
	flags.BoolVarP(&o.watch, "watch", "w", false, "go on with a line for each change")
	outputFlag(cmd, &o.output, "output format", "wide", "json", "yaml", "name")
	return cmd
}

func (o *getOptions) run(ctx context.Context, s streams, names []string) error {
	if err := checkOutput(o.output, "", "wide", "json", "yaml", "name"); err != nil {
		return err
	}
	if o.deliveries.all && len(names) > 0 {
		return usage(errors.New("names go without -A: a name is one of a namespace"))
	}
	if o.deliveries.selector != "" && len(names) > 0 {
		return usage(errors.New("names go without -l"))
	}
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	q := console.Query{Namespace: namespace, Names: names, Selector: o.deliveries.selector}
	found, version, absent := client.List(ctx, q)
	if absent != nil && !errors.Is(absent, console.ErrNotFound) {
		return absent
	}
	rows := &deliveryRows{table: table{to: s.Out}, all: o.deliveries.all, wide: o.output == "wide"}
	if err := o.print(s.Out, rows, found, len(names) == 1); err != nil || !o.watch {
		if err == nil && absent == nil && len(found) == 0 {
			fmt.Fprintf(s.Err, "there are no deliveries%s\n", detail(" in namespace %s", namespace))
		}
		return errors.Join(err, absent)
	}
	err = client.Watch(ctx, q, version, func(c console.Change) error {
		if c.Gone {
			fmt.Fprintf(s.Err, "delivery %s/%s is gone\n", c.Namespace, c.Name)
			rows.forget(c.Delivery)
			return nil
		}
		return o.print(s.Out, rows, []console.Delivery{c.Delivery}, true)
	})
	if ctx.Err() != nil {
		return nil // a person ends it
	}
	return err
}

// print writes Deliveries in the chosen format; one, in the formats for programs,
// stands for itself.
func (o *getOptions) print(w io.Writer, rows *deliveryRows, found []console.Delivery, one bool) error {
	switch o.output {
	case "", "wide":
		return rows.print(found)
	case "name":
		for _, d := range found {
			if _, err := fmt.Fprintf(w, "delivery.sealift.dev/%s\n", d.Name); err != nil {
				return err
			}
		}
		return nil
	}
	if one && len(found) == 0 {
		return nil // the error says what is missing
	}
	if one && rows.begun {
		return printNext(w, o.output, found[0].Document.Object)
	}
	rows.begun = true
	if one {
		return printDocument(w, o.output, found[0].Document.Object)
	}
	items := []any{}
	for _, d := range found {
		items = append(items, d.Document.Object)
	}
	return printDocument(w, o.output, map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}, "items": items})
}

// deliveryRows prints Deliveries as lines of a table, and none twice as it was.
type deliveryRows struct {
	table     table
	all, wide bool
	shown     map[string]console.Summary
	begun     bool // a document was printed
}

func (r *deliveryRows) print(found []console.Delivery) error {
	if r.shown == nil {
		r.shown = map[string]console.Summary{}
	}
	var lines [][]string
	if len(r.shown) == 0 && len(found) > 0 {
		lines = append(lines, r.head())
	}
	for _, d := range found {
		key := d.Namespace + "/" + d.Name
		if before, known := r.shown[key]; known && reflect.DeepEqual(before, d.Summary) {
			continue
		}
		r.shown[key] = d.Summary
		lines = append(lines, r.line(d.Summary))
	}
	return r.table.print(lines)
}

func (r *deliveryRows) forget(d console.Delivery) { delete(r.shown, d.Namespace+"/"+d.Name) }

func (r *deliveryRows) head() []string {
	cells := []string{"NAME", "READY", "REASON", "VERSION", "REVISION", "SIGNED BY", "OBJECTS", "DRIFTED", "SINCE"}
	if r.all {
		cells = append([]string{"NAMESPACE"}, cells...)
	}
	if r.wide {
		cells = append(cells, "DIGEST", "MESSAGE")
	}
	return cells
}

func (r *deliveryRows) line(d console.Summary) []string {
	const most = 60
	cells := []string{
		d.Name, d.Ready, d.Reason, orElse(text.Line(d.Version, most), "-"), orElse(text.Line(console.ShortRevision(d.Revision), most), "-"),
		orElse(text.Line(strings.Join(d.SignedBy, ","), most), "-"), fmt.Sprintf("%d/%d", d.ObjectsReady, d.Objects),
		fmt.Sprint(len(d.Drifted)), "-",
	}
	if d.Delivered != nil {
		cells[len(cells)-1] = duration.HumanDuration(time.Since(*d.Delivered))
	}
	if r.all {
		cells = append([]string{d.Namespace}, cells...)
	}
	if r.wide {
		cells = append(cells, orElse(d.Digest, "-"), d.Message)
	}
	return cells
}
