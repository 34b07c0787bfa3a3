package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sealift.dev/synchronizer/console"
)

type traceOptions struct {
	deliveries deliveryFlags
	output     string
}

func newTraceCommand(s streams) *cobra.Command {
	var o traceOptions
	cmd := &cobra.Command{
		Use:   "trace KIND/NAME",
		Short: "Show which Delivery and commit an object comes from",
		Long: `Show where an object of the cluster comes from: what made it, the Delivery that keeps
it, and the release, commit and signer that are delivered.`,
		Example: `  sealift trace deployment/web -n shop
  sealift trace pod/web-5d9c7b9d4-2xk5p -n shop -o json`,
		Args:              oneArg,
		ValidArgsFunction: completeObject,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	o.deliveries.cluster.register(cmd.Flags(), "namespace of the object (default the kubeconfig context's)")
	o.deliveries.cluster.registerAs(cmd.Flags())
	outputFlag(cmd, &o.output, "output format", "json", "yaml")
	return cmd
}

func (o *traceOptions) run(ctx context.Context, s streams, object string) error {
	if err := checkOutput(o.output, "", "json", "yaml"); err != nil {
		return err
	}
	kind, name, found := strings.Cut(object, "/")
	if !found || kind == "" || name == "" {
		return usage(errors.New("name the object as KIND/NAME, such as deployment/web"))
	}
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	origin, err := client.Trace(ctx, namespace, kind, name)
	if err != nil {
		return err
	}
	if o.output != "" {
		return printDocument(s.Out, o.output, origin)
	}
	return (&table{to: s.Out}).print(originLines(origin))
}

func originLines(o console.Origin) [][]string {
	d := o.Delivery
	lines := [][]string{{"Object", o.Chain[0]}}
	for _, maker := range o.Chain[1:] {
		lines = append(lines, []string{"made by", maker})
	}
	lines = append(lines, []string{"Delivery", fmt.Sprintf("%s/%s: %s", d.Namespace, d.Name, d.Reason)}, []string{"Source", d.Source})
	for _, fact := range [][]string{{"Release", d.Digest}, {"Version", d.Version}, {"Revision", d.Revision}, {"Signed by", strings.Join(d.SignedBy, " and ")}} {
		if fact[1] != "" {
			lines = append(lines, fact)
		}
	}
	return lines
}
