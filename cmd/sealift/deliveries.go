package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sealift.dev/synchronizer/console"
)

// deliveryFlags say in which cluster and namespace Deliveries are meant.
type deliveryFlags struct {
	cluster clusterFlags
	all     bool
}

func (f *deliveryFlags) register(flags *pflag.FlagSet) {
	f.cluster.register(flags, "namespace of the Delivery (default the kubeconfig context's)")
}

// registerAll adds the flag for all namespaces.
func (f *deliveryFlags) registerAll(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.all, "all-namespaces", "A", false, "all namespaces")
}

// connect makes the client, and says which namespace is meant; all of them are "".
func (f *deliveryFlags) connect() (*console.Client, string, error) {
	if f.all && f.cluster.namespace != "" {
		return nil, "", usage(errors.New("-A goes without -n"))
	}
	config, err := f.cluster.connect()
	if err != nil {
		return nil, "", err
	}
	client, err := console.New(config)
	if err != nil || f.all {
		return client, "", err
	}
	namespace, err := f.cluster.contextNamespace()
	return client, namespace, err
}

// complete offers the names of Deliveries, of which a command takes at most so many;
// a negative number is any.
func (f *deliveryFlags) complete(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		const patience = 3 * time.Second
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		client, namespace, err := f.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		found, _, err := client.List(ctx, console.Query{Namespace: namespace})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, d := range found {
			if strings.HasPrefix(d.Name, begun) {
				names = append(names, d.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// nameArgs wants at least one name, or none where all are meant.
func nameArgs(all *bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return usage(errors.New("names go without --all"))
		case !*all && len(args) == 0:
			return usage(fmt.Errorf("name a Delivery, or all with --all: %s", cmd.UseLine()))
		}
		return nil
	}
}

// selected are the names that are given, or those of all Deliveries of the namespace.
func selected(ctx context.Context, client *console.Client, namespace string, names []string) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	found, _, err := client.List(ctx, console.Query{Namespace: namespace})
	for _, d := range found {
		names = append(names, d.Name)
	}
	return names, err
}

// errNotReady is no failure of the command: it asks for an exit code.
type errNotReady struct{ console.Summary }

func (e errNotReady) Error() string {
	return fmt.Sprintf("delivery %s/%s is not ready: %s: %s", e.Namespace, e.Name, e.Reason, e.Message)
}

// answered tells what came of something that was asked of a Delivery.
func answered(s streams, output string, now console.Summary) error {
	if output != "" {
		if err := printDocument(s.Out, output, now); err != nil {
			return err
		}
	} else if now.IsReady() {
		fmt.Fprintf(s.Err, "delivery %s/%s is ready: %s\n", now.Namespace, now.Name, oneLine(now.Message))
	}
	if !now.IsReady() {
		return errNotReady{now}
	}
	return nil
}
