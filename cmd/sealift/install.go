package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	rbac "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/rest"

	"sealift.dev/internal/objects"
	"sealift.dev/internal/render"
	"sealift.dev/manifests"
	"sealift.dev/synchronizer/engine"
)

type installOptions struct {
	cluster    clusterFlags
	components []string
	image      string
	repo       string
	extra      []string // arguments of the automator
	export     bool
	timeout    time.Duration
}

func newInstallCommand(s streams) *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install the synchronizer in a cluster, or print its manifests",
		Long: `Install the custom resource definitions, the rights and the Deployment of the
synchronizer. Installing again updates what is there.

Components are crds, rbac (the namespace, service account and rights), sync (the
Deployment), automate (the automator's Deployment) and webhook (a Service for
notifications to it, with the key webhook-secret of the Secret); the last two are
not installed unless they are named. The automator reads its Git credentials from
the Secret sealift-automate, keys username and password; what else is in it is at
/etc/sealift/automate, for --automate-arg.`,
		Example: `  # Look at what would be installed
  sealift install --image registry.example.com/sealift:1.0.0 --export

  # Install it in the cluster of a kubeconfig context
  sealift install --image registry.example.com/sealift:1.0.0 --context staging

  # The automator for one repository
  sealift install --components rbac,automate --image registry.example.com/sealift:1.0.0 \
    --repo https://git.example.com/deploy.git

  # The same over SSH, woken by notifications
  sealift install --components rbac,automate,webhook --image registry.example.com/sealift:1.0.0 \
    --repo git@git.example.com:acme/deploy.git \
    --automate-arg=--ssh-key=/etc/sealift/automate/ssh-key \
    --automate-arg=--ssh-known-hosts=/etc/sealift/automate/known-hosts

  # Only the definitions, for a synchronizer that runs elsewhere
  sealift install --components crds`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	o.cluster.register(flags, "namespace to install into (default "+defaultNamespace+")")
	flags.StringSliceVar(&o.components, "components", []string{"crds", "rbac", "sync"}, "what to install: crds, rbac, sync, automate, webhook")
	flags.StringVar(&o.image, "image", "", "image that holds sealift at its entrypoint; needed by sync and automate")
	flags.StringVar(&o.repo, "repo", "", "URL of the Git repository that the automator keeps; needed by automate")
	flags.StringArrayVar(&o.extra, "automate-arg", nil, "further argument of the automator, such as --automate-arg=--interval=5m; repeat it for several")
	flags.BoolVar(&o.export, "export", false, "print the manifests instead of applying them")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "how long applying may take")
	return cmd
}

func (o *installOptions) run(ctx context.Context, s streams) error {
	wanted, err := o.render()
	if err != nil {
		return err
	}
	if o.export {
		encoded, err := objects.Encode(wanted)
		if err != nil {
			return err
		}
		_, err = s.Out.Write(encoded)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	return o.apply(ctx, s, wanted)
}

// render builds the components with the image and namespace that were asked for.
func (o *installOptions) render() ([]*unstructured.Unstructured, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var files []objects.File
	err := fs.WalkDir(manifests.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := manifests.Files.ReadFile(path)
		files = append(files, objects.File{Path: path, Data: data})
		return err
	})
	if err != nil {
		return nil, err
	}
	files = append(files, objects.File{Path: "install/kustomization.yaml", Data: []byte(o.kustomization())})
	wanted, err := render.Render(files, "install")
	if err != nil {
		return nil, fmt.Errorf("rendering the manifests: %w", err)
	}
	o.fill(wanted)
	return wanted, nil
}

func (o *installOptions) check() error {
	if len(o.components) == 0 {
		return usage(errors.New("--components names nothing to install"))
	}
	for _, component := range o.components {
		switch component {
		case "crds", "rbac":
		case "sync", "automate":
			if o.image == "" {
				return usage(fmt.Errorf("component %s needs --image; hint: an image whose entrypoint is the sealift binary", component))
			}
			if component == "automate" && o.repo == "" {
				return usage(errors.New("component automate needs --repo; hint: --repo https://git.example.com/deploy.git"))
			}
		case "webhook":
			if !slices.Contains(o.components, "automate") {
				return usage(errors.New("component webhook needs automate; hint: --components rbac,automate,webhook"))
			}
		default:
			return usage(fmt.Errorf("--components: %q is none of crds, rbac, sync, automate, webhook", component))
		}
	}
	return nil
}

func (o *installOptions) namespace() string {
	return cmp.Or(o.cluster.namespace, defaultNamespace)
}

func (o *installOptions) kustomization() string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: %q\nresources:\n", o.namespace())
	for _, component := range o.components {
		fmt.Fprintf(&b, "  - ../%s\n", component)
	}
	return b.String()
}

// fill puts the image and the repository into the Deployments.
func (o *installOptions) fill(wanted []*unstructured.Unstructured) {
	for _, object := range wanted {
		containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		for _, c := range containers {
			if container, ok := c.(map[string]any); ok && container["name"] == "sealift" {
				container["image"] = o.image
				args, _ := container["args"].([]any)
				if i := slices.Index(args, any("--repo=")); i >= 0 {
					args[i] = "--repo=" + o.repo
					container["args"] = append(args, o.automateArgs()...)
				}
			}
		}
		if containers != nil {
			_ = unstructured.SetNestedSlice(object.Object, containers, "spec", "template", "spec", "containers")
		}
	}
}

// automateArgs are the automator's beyond those of its manifest. A later one wins.
func (o *installOptions) automateArgs() []any {
	var args []any
	if slices.Contains(o.components, "webhook") {
		args = append(args, "--webhook-address=:9292", "--webhook-secret-file=/etc/sealift/automate/webhook-secret")
	}
	for _, arg := range o.extra {
		args = append(args, arg)
	}
	return args
}

// apply uses the synchronizer's own engine, so that installing is checked, staged
// and repeatable like a delivery.
func (o *installOptions) apply(ctx context.Context, s streams, wanted []*unstructured.Unstructured) error {
	config, err := o.cluster.connect()
	if err != nil {
		return err
	}
	if slices.Contains(o.components, "rbac") {
		if err := o.alone(ctx, config); err != nil {
			return err
		}
	}
	e, err := engine.New(config, func(engine.Owner) {})
	if err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go e.Run(ctx)
	set, err := engine.NewSet(wanted)
	if err != nil {
		return fmt.Errorf("planning the installation: %w", err)
	}
	plan, err := e.Plan(ctx, engine.Target{Owner: installOwner(), Objects: set})
	if err != nil {
		return fmt.Errorf("planning the installation: %w", err)
	}
	if err := e.Preflight(ctx, plan); err != nil {
		if !slices.Contains(o.components, "rbac") {
			err = fmt.Errorf("%w; hint: the namespace and the rights come with the component rbac", err)
		}
		return fmt.Errorf("checking the installation: %w", err)
	}
	report, err := e.Apply(ctx, plan)
	for _, ref := range slices.Concat(report.Created, report.Updated) {
		fmt.Fprintf(s.Err, "applied %s\n", ref)
	}
	if err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	return nil
}

// alone refuses to take the cluster-wide rights from an installation in another namespace.
func (o *installOptions) alone(ctx context.Context, config *rest.Config) error {
	client, err := rbac.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	const name = "sealift-sync"
	binding, err := client.ClusterRoleBindings().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for another installation: %w", err)
	}
	for _, s := range binding.Subjects {
		if s.Kind == rbacv1.ServiceAccountKind && s.Name == name && s.Namespace != o.namespace() {
			return fmt.Errorf("the cluster has an installation in the namespace %s; hint: -n %[1]s updates it, and sealift uninstall removes it", s.Namespace)
		}
	}
	return nil
}
