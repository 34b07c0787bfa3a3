package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/verify"
)

// PreviewOptions say which Delivery is meant, and how it is looked at. Of Options,
// Config, Namespace, Verify and Registries count.
type PreviewOptions struct {
	Options
	// Delivery in the cluster.
	Delivery types.NamespacedName
	// Release is another one of the source's repository; zero: what the source names.
	Release artifact.Address
	// AsSelf tries objects with the caller's own rights, and not as the service account.
	AsSelf bool
}

// Preview shows what a pass for a Delivery would do, as the caller may see it. It
// writes nothing, and what it watches ends with it.
func Preview(ctx context.Context, o PreviewOptions) (synchronizer.Preview, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	eyes, err := newEyes(o.Config)
	if err != nil {
		return synchronizer.Preview{}, err
	}
	var d v1alpha1.Delivery
	if err := eyes.Get(ctx, o.Delivery, &d); err != nil {
		if apierrors.IsNotFound(err) {
			err = fmt.Errorf("%w; hint: sealift get -A lists all", err)
		}
		return synchronizer.Preview{}, fmt.Errorf("reading delivery %s: %w", o.Delivery, err)
	}
	if err := repoint(&d, o.Release); err != nil {
		return synchronizer.Preview{}, err
	}
	r, err := newReader(ctx, o, eyes, &d)
	if err != nil {
		return synchronizer.Preview{}, err
	}
	defer r.sources.close()
	asked, err := r.convert(ctx, &d)
	if err != nil {
		return synchronizer.Preview{}, eyes.explained(err)
	}
	if o.AsSelf {
		asked.User = ""
	}
	quarantined := d.Status.Quarantined
	d.Status.Quarantined = nil // whoever asks wants to see it nevertheless
	r.accepted, err = listAcceptance(ctx, r.client, o.Namespace)
	if err != nil && !apierrors.IsForbidden(err) { // the status says the same, as long as nobody made the Delivery anew
		return synchronizer.Preview{}, err
	}
	private, err := secretVariables(ctx, &d, eyes.content)
	if err != nil {
		return synchronizer.Preview{}, err
	}
	known, err := r.remember(ctx, &d, asked)
	if err != nil {
		return synchronizer.Preview{}, err
	}
	p, err := r.synchronizer.Preview(ctx, asked, known.State())
	if why := notImpersonating(err); why != nil {
		return synchronizer.Preview{}, fmt.Errorf("acting as %s: %w; hint: --as-self tries the objects with your own rights", asked.User, why)
	}
	p.Private.Values = private
	p.Notes = append(p.Notes, append(eyes.unread(), r.engine.Unseen()...)...)
	if quarantined != nil && quarantined.Digest == p.Release.Ref.Digest.String() {
		p.Notes = append(p.Notes, "it failed before, and is not tried again: "+quarantined.Cause)
	}
	if d.Spec.Suspend {
		p.Notes = append(p.Notes, "the Delivery is suspended: nothing is done before sealift resume")
	}
	return p, err
}

// notImpersonating is the first of many refusals, where they are the caller's and say
// nothing of the objects.
func notImpersonating(err error) error {
	var failures *engine.Failures
	if errors.As(err, &failures) && len(failures.List) > 0 {
		err = failures.List[0].Err
	}
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot impersonate") {
		return err
	}
	return nil
}

// newReader is a reconciler without a manager: it reads what d needs when it is asked.
func newReader(ctx context.Context, o PreviewOptions, eyes *eyes, d *v1alpha1.Delivery) (*reconciler, error) {
	verifier, err := verify.New(o.Verify)
	if err != nil {
		return nil, err
	}
	r := &reconciler{options: o.Options, client: eyes, reader: eyes}
	user := r.userOf(d)
	if o.AsSelf {
		user = ""
	}
	if err := eyes.borrow(o.Config, user); err != nil {
		return nil, fmt.Errorf("acting as %s: %w", user, err)
	}
	if r.engine, err = engine.NewViewer(o.Config, user); err != nil {
		return nil, err
	}
	r.synchronizer = synchronizer.New(r.engine, verifier, o.Registries)
	if r.sources, err = newSources(o.Config, func(types.NamespacedName) {}); err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	r.sources.trusting, r.sources.once = o.AsSelf, eyes
	go r.engine.Run(ctx)
	return r, nil
}

// secretVariables are the values that d takes from Secrets.
func secretVariables(ctx context.Context, d *v1alpha1.Delivery, read func(context.Context, sourceName) (content, error)) ([]string, error) {
	var values []string
	for _, from := range d.Spec.SubstituteFrom {
		if from.Kind != "Secret" {
			continue
		}
		held, err := read(ctx, sourceName{resource: secrets, NamespacedName: types.NamespacedName{Namespace: d.Namespace, Name: from.Name}})
		if err != nil {
			return nil, fmt.Errorf("reading the Secret %s/%s: %w", d.Namespace, from.Name, err)
		}
		for _, value := range held.data {
			values = append(values, strings.TrimSuffix(string(value), "\n"))
		}
	}
	return values, nil
}

// repoint makes the source name another release of its repository.
func repoint(d *v1alpha1.Delivery, to artifact.Address) error {
	if to == (artifact.Address{}) {
		return nil
	}
	source := &d.Spec.Source
	own, err := artifact.ParseRepository(source.URL)
	if err != nil {
		return fmt.Errorf("%w: source: %w", errInvalidSpec, err)
	}
	if to.Repository != own {
		return fmt.Errorf("the release is of %s, and the source of delivery %s/%s is %s; hint: compare two releases with sealift diff OLD NEW", to.Repository, d.Namespace, d.Name, own)
	}
	source.Tag, source.Semver, source.Digest = to.Tag, "", to.Digest.String()
	if to.Digest != "" {
		source.Tag = ""
	}
	return nil
}
