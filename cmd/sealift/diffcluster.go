package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/artifact"
	"sealift.dev/internal/compare"
	"sealift.dev/internal/text"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/controller"
)

// maxRefusal bounds what one refusal says: the API server repeats values in it.
const maxRefusal = 4096

// againstOptions are those of a comparison with a cluster.
type againstOptions struct {
	deliveries      deliveryFlags
	delivery        string
	asSelf          bool
	systemNamespace string
	timeout         time.Duration
}

func (o *againstOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.delivery, "delivery", "", "compare with what this Delivery has in its cluster")
	flags.BoolVar(&o.asSelf, "as-self", false, "with --delivery: try objects with your own rights, and not as the service account")
	flags.StringVar(&o.systemNamespace, "system-namespace", defaultNamespace, "with --delivery: namespace of the synchronizer")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "with --delivery: how long it may take")
	o.deliveries.register(flags)
}

// against compares a release, or what the Delivery's source names, with the cluster:
// what it prints is what a pass would do.
func (o *diffOptions) against(ctx context.Context, s streams, args []string) error {
	preview, err := o.previewOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.cluster.timeout)
	defer cancel()
	found, refused := controller.Preview(ctx, preview)
	if found.Release.Ref.Digest == "" {
		return refused
	}
	mask := compare.NewMask(found.Private.Values, found.Private.Texts)
	plan := planOf(preview.Delivery, found, mask)
	if err := o.printPlan(s.Out, plan); err != nil {
		return err
	}
	if refused == nil && o.exitCode && plan.Different {
		return errDifferent
	}
	return mask.Error(refused)
}

func (o *diffOptions) previewOptions(args []string) (controller.PreviewOptions, error) {
	switch {
	case o.trust.policy != "" || o.trust.key != "" || o.trust.keyless.Subject+o.trust.keyless.SubjectRegexp != "":
		return controller.PreviewOptions{}, usage(errors.New("--delivery goes without --policy, --key and --certificate-identity: the Delivery and the cluster's TrustPolicies say whom to trust"))
	case len(o.environments) > 0 || o.registry.plainHTTP:
		return controller.PreviewOptions{}, usage(errors.New("--delivery goes without --environment and --plain-http: the Delivery says both"))
	}
	preview := controller.PreviewOptions{AsSelf: o.cluster.asSelf}
	if len(args) == 1 {
		address, err := artifact.ParseAddress(args[0])
		if err != nil {
			return preview, usage(err)
		}
		if address.Digest == "" && address.Tag == "" {
			return preview, usage(fmt.Errorf("%s: a tag or digest is missing; hint: write %s%s:main", args[0], artifact.Scheme, address.Repository))
		}
		preview.Release = address
	}
	config, err := o.cluster.deliveries.cluster.connect()
	if err != nil {
		return preview, err
	}
	namespace, err := o.cluster.deliveries.cluster.contextNamespace()
	if err != nil {
		return preview, err
	}
	network, err := o.registry.network.read()
	if err != nil {
		return preview, err
	}
	preview.Verify, err = o.trust.root.options()
	preview.Config, preview.Namespace = config, o.cluster.systemNamespace
	preview.Delivery = types.NamespacedName{Namespace: namespace, Name: o.cluster.delivery}
	preview.Registries = synchronizer.Options{Network: network, TokenServers: o.registry.network.tokenServers, UserAgent: userAgent()}
	return preview, err
}

func planOf(delivery types.NamespacedName, found synchronizer.Preview, mask compare.Mask) compare.Plan {
	r := found.Release
	p := compare.Plan{
		Delivery: delivery.String(), SignedBy: append([]string{}, r.SignedBy...), Objects: []compare.Planned{},
		Release:      compare.Side{Reference: r.Ref.String(), Verified: true, Revision: r.Statement.Revision, Version: r.Statement.Version, Sequence: r.Statement.Sequence},
		Irreversible: found.Irreversible, Notes: slices.Concat(r.Findings, found.Notes),
	}
	for _, c := range found.Changes {
		planned := compare.Planned{Action: string(c.Action), Reason: mask.Text(c.Reason), Group: c.Ref.Group, Kind: c.Ref.Kind, Namespace: c.Ref.Namespace, Name: c.Ref.Name,
			Fields: compare.Fields(c.Before, c.After, found.Private.Objects[c.Ref], mask)}
		if err := found.Refused[c.Ref]; err != nil {
			planned.Refused = text.Clip(mask.Text(err.Error()), maxRefusal)
		}
		p.Objects = append(p.Objects, planned)
	}
	for _, ref := range found.Unchecked {
		p.Unchecked = append(p.Unchecked, ref.String())
	}
	if found.Confirm != nil {
		p.Confirm = found.Confirm.Reason
	}
	if found.Older {
		p.Notes = append(p.Notes, "older than a release accepted before: it is delivered only where the Delivery pins its digest")
	}
	p.Finish()
	return p
}

func (o *diffOptions) printPlan(w io.Writer, p compare.Plan) error {
	switch o.output {
	case "json":
		return printJSON(w, p)
	case "markdown":
		_, err := io.WriteString(w, p.Markdown(compare.MaxComment))
		return err
	}
	_, err := io.WriteString(w, p.Text())
	return err
}
