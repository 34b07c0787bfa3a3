package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sealift.dev/synchronizer/console"
)

type treeOptions struct {
	deliveries deliveryFlags
	output     string
}

func newTreeCommand(s streams) *cobra.Command {
	var o treeOptions
	cmd := &cobra.Command{
		Use:   "tree NAME",
		Short: "Show the objects of a Delivery, and how each is",
		Long: `Show the objects of a Delivery in the order of applying, and the Jobs, ReplicaSets
and Pods that they made, each with its health and why. Of an object it is also shown
what drifted and is left so, who else sets fields of it, and which annotations change
what is done with it.

"sealift diff --delivery" shows how the objects differ from the release.`,
		Example: `  sealift tree shop -n shop

  # Only what is not healthy
  sealift tree shop -n shop -o json | jq '.objects[] | select(.status != "Current")'`,
		Args:              oneArg,
		ValidArgsFunction: o.deliveries.complete(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	o.deliveries.register(cmd.Flags())
	outputFlag(cmd, &o.output, "output format", "json", "yaml")
	return cmd
}

func (o *treeOptions) run(ctx context.Context, s streams, name string) error {
	if err := checkOutput(o.output, "", "json", "yaml"); err != nil {
		return err
	}
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	tree, err := client.Tree(ctx, namespace, name)
	if err != nil {
		return err
	}
	if o.output != "" {
		return printDocument(s.Out, o.output, tree)
	}
	tellProblems(s, tree.Problems)
	fmt.Fprintln(s.Out, printable(treeTitle(tree.Delivery)))
	return (&table{to: s.Out}).print(treeLines(tree.Objects, "", namespace))
}

// treeTitle says what is delivered, and what is in the way of something else.
func treeTitle(d console.Summary) string {
	lines := []string{fmt.Sprintf("Delivery %s/%s: %s", d.Namespace, d.Name, d.Reason)}
	if d.Digest != "" {
		lines[0] += detail(", %s", console.ShortRevision(d.Revision)) + detail(", version %s", d.Version) + ", " + d.Digest + detail(", signed by %s", strings.Join(d.SignedBy, " and "))
	}
	if !d.IsReady() {
		lines = append(lines, oneLine(d.Message))
	}
	if d.Attempted != "" && d.Attempted != d.Digest {
		lines = append(lines, "attempted: "+d.Attempted)
	}
	if d.Quarantined != "" {
		lines = append(lines, "quarantined: "+d.Quarantined+", "+oneLine(d.Cause))
	}
	if d.Awaiting != "" {
		lines = append(lines, "waits for: sealift confirm "+d.Name+" -n "+d.Namespace)
	}
	return strings.Join(lines, "\n")
}

func tellProblems(s streams, problems []string) {
	for _, problem := range problems {
		fmt.Fprintf(s.Err, "warning: %s\n", oneLine(problem))
	}
}

// treeLines draws nodes below a line that begins with indent.
func treeLines(nodes []*console.Node, indent, namespace string) [][]string {
	var lines [][]string
	for i, n := range nodes {
		branch, below := "├── ", "│   "
		if i == len(nodes)-1 {
			branch, below = "└── ", "    "
		}
		lines = append(lines, []string{indent + branch + nodeName(n, namespace), n.Status, nodeNotes(n)})
		lines = append(lines, treeLines(n.Children, indent+below, namespace)...)
	}
	return lines
}

// nodeName is KIND [NAMESPACE/]NAME; the namespace where it is not the Delivery's.
func nodeName(n *console.Node, namespace string) string {
	name := n.Name
	if n.Namespace != "" && n.Namespace != namespace {
		name = n.Namespace + "/" + name
	}
	return n.Kind + " " + name
}

func nodeNotes(n *console.Node) string {
	var notes []string
	if n.Status != "Current" && n.Message != "" {
		notes = append(notes, n.Message)
	}
	if n.Drift != "" {
		notes = append(notes, "drifted, "+n.Drift)
	}
	for _, o := range n.Others {
		who := o.Manager + detail(" (%s)", o.Subresource)
		notes = append(notes, fmt.Sprintf("%s sets %s", who, strings.Join(o.Fields, " ")))
	}
	for _, key := range slices.Sorted(maps.Keys(n.Annotations)) {
		notes = append(notes, key+"="+n.Annotations[key])
	}
	return strings.Join(notes, "; ")
}
