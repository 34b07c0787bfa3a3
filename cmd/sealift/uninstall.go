package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sealift.dev/internal/text"
	"sealift.dev/synchronizer/console"
	"sealift.dev/synchronizer/engine"
)

type uninstallOptions struct {
	cluster   clusterFlags
	crds      bool
	namespace bool
	yes       bool
	timeout   time.Duration
}

func newUninstallCommand(s streams) *cobra.Command {
	var o uninstallOptions
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove what install brought; what is delivered stays",
		Long: `Remove what "sealift install" brought: the Deployments and the rights. It shows what
it will remove, and asks. What is delivered stays and runs on, and so do the
Deliveries; nobody keeps them then.

The definitions go with --crds, when no Delivery is left; TrustPolicies go with
them. The namespace goes with --delete-namespace, and with it the record of what was
accepted: an installation after it would accept older releases again.`,
		Example: `  sealift uninstall
  sealift uninstall --crds --delete-namespace --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.cluster.kubeconfig, "kubeconfig", "", "path to the kubeconfig (default $KUBECONFIG or ~/.kube/config; inside a cluster its service account)")
	flags.StringVar(&o.cluster.context, "context", "", "the kubeconfig's context to use")
	flags.BoolVar(&o.crds, "crds", false, "also the custom resource definitions, when no Delivery is left")
	flags.BoolVar(&o.namespace, "delete-namespace", false, "also the namespace, and all that is in it")
	flags.BoolVarP(&o.yes, "yes", "y", false, "remove what is shown without a question")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "how long removing may take")
	return cmd
}

func (o *uninstallOptions) run(ctx context.Context, s streams) error {
	config, err := o.cluster.connect()
	if err != nil {
		return err
	}
	client, err := console.New(config)
	if err != nil {
		return err
	}
	found, err := o.find(ctx, client)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		fmt.Fprintln(s.Err, "there is nothing to remove")
		return nil
	}
	if err := o.warn(ctx, s, client, found); err != nil {
		return err
	}
	if !o.yes {
		if err := agree(ctx, s, fmt.Sprintf("Remove these %d objects?", len(found)), "--yes"); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for _, object := range found {
		if err := client.Delete(ctx, object); err != nil {
			return err
		}
		fmt.Fprintf(s.Err, "removed %s\n", object.ObjectRef)
	}
	return nil
}

// find lists what install brought, as far as it is to go.
func (o *uninstallOptions) find(ctx context.Context, client *console.Client) ([]console.Owned, error) {
	every := installOptions{components: []string{"crds", "rbac", "sync", "automate", "webhook"}, image: "none", repo: "none"}
	brought, err := every.render()
	if err != nil {
		return nil, err
	}
	var kinds []schema.GroupKind
	for _, object := range brought {
		gk := object.GroupVersionKind().GroupKind()
		stays := gk.Kind == "CustomResourceDefinition" && !o.crds || gk.Kind == "Namespace" && !o.namespace
		if !stays && !slices.Contains(kinds, gk) {
			kinds = append(kinds, gk)
		}
	}
	return client.Owned(ctx, installOwner(), kinds)
}

// warn shows what goes, and what that means. Definitions do not go before the last
// Delivery: they would take all Deliveries along.
func (o *uninstallOptions) warn(ctx context.Context, s streams, client *console.Client, found []console.Owned) error {
	left, _, err := client.List(ctx, console.Query{})
	if err != nil && !apierrors.IsNotFound(err) { // there is no definition of them
		return err
	}
	var names []string
	for _, d := range left {
		names = append(names, d.Namespace+"/"+d.Name)
	}
	const most = 5
	named := strings.Join(names[:min(len(names), most)], ", ")
	if o.crds && len(left) > 0 {
		return fmt.Errorf("%s (%s): %w", text.Count(len(left), "Delivery is left", "Deliveries are left"), named, errDeliveriesLeft)
	}
	for _, object := range found {
		fmt.Fprintf(s.Err, "  %s\n", object.ObjectRef)
	}
	if len(left) > 0 {
		fmt.Fprintf(s.Err, "%s (%s); what was delivered runs on, and is not deleted without a synchronizer\n", text.Count(len(left), "Delivery stays", "Deliveries stay"), named)
	}
	if !o.crds {
		return nil
	}
	policies, err := client.TrustPolicies(ctx)
	if len(policies) > 0 {
		fmt.Fprintf(s.Err, "with the definitions go %d TrustPolicies: %s\n", len(policies), oneLine(strings.Join(policies, ", ")))
	}
	return err
}

var errDeliveriesLeft = errors.New("the definitions would take them along; hint: delete them first, with spec.deletionPolicy: Orphan where their objects shall stay")

// installOwner is one owner whatever the namespace: definitions and cluster roles are
// there once.
func installOwner() engine.Owner { return engine.OwnerOf(defaultNamespace, "install") }
