package flux

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/choose"
	"sealift.dev/internal/strict"
)

// identity is what objects of the tree are told apart by.
type identity struct{ kind, namespace, name string }

func (i identity) String() string { return i.kind + " " + i.namespace + "/" + i.name }

// object is a document with its spec and the namespace that it ends up in.
type object[Spec any] struct {
	identity
	document
	spec Spec
}

// reader collects the objects of a tree.
type reader struct {
	objects      int
	seen         map[identity]string // to the file
	repositories map[identity]object[repositorySpec]
	policies     []object[policySpec]
	automations  []Automation
	labels       map[string]map[string]string // of namespaces
	notes        []Note
}

func (r *reader) note(file, object, reason string) {
	if len(r.notes) < maxNotes {
		r.notes = append(r.notes, Note{File: file, Object: object, Reason: reason})
	}
}

// take reads one object that ends up in a namespace.
func (r *reader) take(d document, namespace string) {
	id := identity{d.Kind, namespace, d.Metadata.Name}
	if d.Kind == "Namespace" {
		r.labels[d.Metadata.Name] = d.Metadata.Labels
	}
	if d.group() != imageGroup || !slices.Contains([]string{"ImageRepository", "ImagePolicy", "ImageUpdateAutomation"}, d.Kind) {
		return
	}
	err := r.check(d, id)
	if err == nil {
		switch d.Kind {
		case "ImageRepository":
			err = r.repository(d, id)
		case "ImagePolicy":
			err = r.policy(d, id)
		default:
			err = r.automation(d, id)
		}
	}
	if err != nil {
		r.note(d.file, id.String(), err.Error())
	}
}

func (r *reader) check(d document, id identity) error {
	switch {
	case !slices.Contains([]string{"v1", "v1beta2", "v1beta1"}, d.version()):
		return fmt.Errorf("apiVersion %.60q is not known; hint: v1, v1beta2 and v1beta1 are", d.APIVersion)
	case id.name == "":
		return errors.New("metadata.name is missing")
	case id.namespace == "":
		return errors.New("it is in no namespace; hint: write metadata.namespace, or namespace: in a kustomization.yaml that lists the file")
	case r.seen[id] != "":
		return fmt.Errorf("it is in %s already, and that one counts", r.seen[id])
	}
	r.seen[id] = d.file
	return nil
}

func decode[Spec any](d document, id identity) (object[Spec], error) {
	o := object[Spec]{identity: id, document: d}
	if len(d.Spec) == 0 {
		return o, errors.New("spec is missing")
	}
	if err := strict.Unmarshal(d.Spec, &o.spec); err != nil {
		return o, fmt.Errorf("reading spec: %w", err)
	}
	return o, nil
}

func (r *reader) repository(d document, id identity) error {
	o, err := decode[repositorySpec](d, id)
	if err != nil {
		return err
	}
	if problem := checkImage(o.spec.Image); problem != "" {
		return fmt.Errorf("spec.image %.200q: %s", o.spec.Image, problem)
	}
	if o.spec.Insecure && d.version() != "v1beta1" {
		r.note(d.file, id.String(), "spec.insecure is not followed; hint: sealift automate --plain-http")
	}
	r.repositories[id] = o
	return nil
}

func checkImage(image string) string {
	switch last := image[strings.LastIndexByte(image, '/')+1:]; {
	case last == "":
		return "the name of a repository is wanted"
	case strings.Contains(image, "://"):
		return "hint: write it without a scheme"
	case strings.ContainsAny(last, ":@"):
		return "hint: write it without a tag or digest"
	}
	return ""
}

func (r *reader) policy(d document, id identity) error {
	o, err := decode[policySpec](d, id)
	if err != nil {
		return err
	}
	if d.version() == "v1beta1" {
		o.spec.DigestReflectionPolicy = ""
	}
	switch o.spec.DigestReflectionPolicy {
	case "", v1alpha1.PinNever, v1alpha1.PinIfNotPresent, v1alpha1.PinAlways:
	default:
		return fmt.Errorf("spec.digestReflectionPolicy %.40q; hint: Never, IfNotPresent or Always", o.spec.DigestReflectionPolicy)
	}
	r.policies = append(r.policies, o)
	return nil
}

func (r *reader) automation(d document, id identity) error {
	o, err := decode[automationSpec](d, id)
	if err != nil {
		return err
	}
	s := o.spec
	if s.Update.Strategy != "" && s.Update.Strategy != "Setters" {
		return fmt.Errorf("spec.update.strategy %.40q; hint: Setters is the one there is", s.Update.Strategy)
	}
	if d.version() == "v1beta1" {
		s.PolicySelector, s.Git.Push.Options, s.Git.Commit.MessageTemplateValues = nil, nil, nil
	}
	a := Automation{
		Namespace: id.namespace, Name: id.name, File: d.file, Path: cleanPath(s.Update.Path), Suspended: s.Suspend,
		Branch: s.Git.Checkout.Ref.Branch, PushBranch: s.Git.Push.Branch,
		Author: s.Git.Commit.Author, Message: s.Git.Commit.MessageTemplate, Values: s.Git.Commit.MessageTemplateValues,
	}
	if a.Author != nil && a.Author.Name == "" {
		a.Author.Name = a.Author.Email // Flux wants the address alone
	}
	for _, key := range slices.Sorted(maps.Keys(s.Git.Push.Options)) {
		a.PushOptions = append(a.PushOptions, strings.TrimSuffix(key+"="+s.Git.Push.Options[key], "="))
	}
	if s.PolicySelector != nil {
		if a.selector, err = metav1.LabelSelectorAsSelector(s.PolicySelector); err != nil {
			return fmt.Errorf("spec.policySelector: %w", err)
		}
	}
	r.automations = append(r.automations, a)
	r.ignored(d.file, id, s)
	return nil
}

// ignored names what an automation says that plays no part here.
func (r *reader) ignored(file string, id identity, s automationSpec) {
	ref := s.Git.Checkout.Ref
	for _, field := range []struct {
		is   bool
		what string
	}{
		{s.SourceRef.Name != "", "spec.sourceRef is not followed: the repository is the one that is read"},
		{ref.Tag+ref.Semver+ref.Commit+ref.Name != "", "spec.git.checkout.ref is followed by its branch only"},
		{s.Git.Push.Refspec != "", "spec.git.push.refspec is not followed"},
		{s.Git.Commit.SigningKey != nil, "spec.git.commit.signingKey is not followed; hint: sealift automate --signing-key"},
	} {
		if field.is {
			r.note(file, id.String(), field.what)
		}
	}
}

// found joins policies with their repositories.
func (r *reader) found() Found {
	var images []Image
	for _, p := range r.policies {
		image, err := r.image(p)
		if err != nil {
			r.note(p.file, p.identity.String(), err.Error())
			continue
		}
		images = append(images, image)
	}
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(r.automations, func(a, b Automation) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return Found{Images: images, Automations: r.automations, Notes: r.notes}
}

func (r *reader) image(p object[policySpec]) (Image, error) {
	ref := p.spec.ImageRepositoryRef
	if ref.Name == "" {
		return Image{}, errors.New("spec.imageRepositoryRef.name is missing")
	}
	id := identity{"ImageRepository", cmp.Or(ref.Namespace, p.namespace), ref.Name}
	repository, ok := r.repositories[id]
	switch {
	case !ok:
		return Image{}, fmt.Errorf("%s is not in the tree, or cannot be read", id)
	case !r.mayRead(p.namespace, repository):
		return Image{}, fmt.Errorf("the accessFrom of %s does not let namespace %s in", id, p.namespace)
	}
	image := Image{
		Image: v1alpha1.Image{
			Namespace: p.namespace, Name: p.name, Image: repository.spec.Image,
			Select: p.spec.choice(), Pin: p.spec.DigestReflectionPolicy,
		},
		Labels: p.Metadata.Labels, File: p.file,
		Suspended: p.spec.Suspend || repository.spec.Suspend,
	}
	image.Select.Ignore = repository.spec.ExclusionList
	_, err := choose.New(rule(image.Select))
	return image, err
}

// choice is Flux's: of several policies, semver goes before alphabetical and numerical.
func (s policySpec) choice() v1alpha1.Select {
	choice := v1alpha1.Select{Match: s.FilterTags.Pattern, Extract: s.FilterTags.Extract}
	switch p := s.Policy; {
	case p.Semver != nil:
		choice.Semver = p.Semver.Range
	case p.Alphabetical != nil:
		choice.Alphabetical = p.Alphabetical.or()
	case p.Numerical != nil:
		choice.Numerical = p.Numerical.or()
	}
	return choice
}

// rule is what a Select says, to choose by.
func rule(s v1alpha1.Select) choose.Rule {
	return choose.Rule{
		Semver: s.Semver, Loose: s.Loose, Alphabetical: s.Alphabetical, Numerical: s.Numerical, Newest: s.Newest,
		Digest: s.Digest, Match: s.Match, Extract: s.Extract, Ignore: s.Ignore,
	}
}

// mayRead is Flux's rule for references across namespaces.
func (r *reader) mayRead(namespace string, repository object[repositorySpec]) bool {
	if namespace == repository.namespace {
		return true
	}
	if repository.spec.AccessFrom == nil {
		return false
	}
	labels := maps.Clone(r.labels[namespace])
	if labels == nil {
		labels = map[string]string{}
	}
	labels["kubernetes.io/metadata.name"] = namespace
	return slices.ContainsFunc(repository.spec.AccessFrom.NamespaceSelectors, func(s struct {
		MatchLabels map[string]string `json:"matchLabels"`
	}) bool {
		for key, value := range s.MatchLabels {
			if is, ok := labels[key]; !ok || is != value {
				return false
			}
		}
		return true
	})
}
