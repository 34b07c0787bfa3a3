package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer/console"
)

// deliveryFlags say in which cluster and namespace Deliveries are meant.
type deliveryFlags struct {
	cluster  clusterFlags
	all      bool
	every    bool
	selector string
}

func (f *deliveryFlags) register(flags *pflag.FlagSet) {
	f.cluster.register(flags, "namespace of the Delivery (default the kubeconfig context's)")
	f.cluster.registerAs(flags)
}

// registerAll adds the flag for all namespaces.
func (f *deliveryFlags) registerAll(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.all, "all-namespaces", "A", false, "all namespaces")
}

// registerMany adds the flags of commands that act on several Deliveries.
func (f *deliveryFlags) registerMany(flags *pflag.FlagSet) {
	f.registerAll(flags)
	f.registerSelector(flags)
	flags.BoolVar(&f.every, "all", false, "all Deliveries of the namespace, or with -A of the cluster")
}

func (f *deliveryFlags) registerSelector(flags *pflag.FlagSet) {
	flags.StringVarP(&f.selector, "selector", "l", "", "labels of the Deliveries, such as team=shop")
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

// nameArgs wants at least one name, or none where all are meant, or those with a label.
func (f *deliveryFlags) nameArgs(cmd *cobra.Command, args []string) error {
	switch {
	case f.every && f.selector != "":
		return usage(errors.New("--all and -l go without each other"))
	case (f.every || f.selector != "" || f.all) && len(args) > 0:
		return usage(errors.New("names go without --all, -l and -A"))
	case !f.every && f.selector == "" && len(args) == 0:
		return usage(fmt.Errorf("name a Delivery, or choose some with -l, or all with --all: %s", cmd.UseLine()))
	}
	return nil
}

// selected are the Deliveries that are named, or those that the flags choose.
func (f *deliveryFlags) selected(ctx context.Context, s streams, client *console.Client, namespace string, names []string) ([]types.NamespacedName, error) {
	var chosen []types.NamespacedName
	for _, name := range names {
		chosen = append(chosen, types.NamespacedName{Namespace: namespace, Name: name})
	}
	if len(names) > 0 {
		return chosen, nil
	}
	found, _, err := client.List(ctx, console.Query{Namespace: namespace, Selector: f.selector})
	for _, d := range found {
		chosen = append(chosen, types.NamespacedName{Namespace: d.Namespace, Name: d.Name})
	}
	if err == nil && len(chosen) == 0 {
		fmt.Fprintf(s.Err, "there are no deliveries%s%s\n", detail(" in namespace %s", namespace), detail(" with the labels %s", f.selector))
	}
	return chosen, err
}

// await waits until what was asked of Deliveries is answered, and tells how they come
// on. Deliveries that are not ready then are an error.
func await(ctx context.Context, s streams, client *console.Client, timeout time.Duration, tickets []console.Ticket) ([]console.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	now, err := client.Wait(ctx, tickets, func(d console.Summary) {
		fmt.Fprintf(s.Err, "delivery %s/%s: %s: %s\n", d.Namespace, d.Name, d.Reason, oneLine(d.Message))
	})
	failed := []error{err}
	for _, d := range now {
		if !d.IsReady() {
			failed = append(failed, errNotReady{d})
			continue
		}
		fmt.Fprintf(s.Err, "delivery %s/%s is ready: %s\n", d.Namespace, d.Name, oneLine(d.Message))
	}
	return now, errors.Join(failed...)
}

// errNotReady is no failure of the command: it asks for an exit code.
type errNotReady struct{ console.Summary }

func (e errNotReady) Error() string {
	said := fmt.Sprintf("delivery %s/%s is not ready: %s: %s", e.Namespace, e.Name, e.Reason, e.Message)
	if strings.Contains(e.Message, "; hint: ") {
		return said
	}
	return fmt.Sprintf("%s; hint: sealift tree %s -n %s shows its objects", said, e.Name, e.Namespace)
}
