package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

// maxCopiedImages is as many as a release may list.
const maxCopiedImages = 5000

type copyOptions struct {
	network                   networkFlags
	trust                     trustFlags
	plain, fromPlain, toPlain bool
	tags                      []string
	images                    bool
	imagesFrom                string
	imagesTo                  string
	quiet                     bool
	output                    string
}

func newCopyCommand(s streams) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy SOURCE DESTINATION",
		Short: "Copy a release with its signatures to another registry, or over an air gap",
		Long: `Copy a release, with its signatures and attestations, and with --images the
images that it lists, under the same digests. SOURCE and DESTINATION are
repositories, oci://HOST/REPOSITORY, or image layouts in a folder,
oci-layout:FOLDER; each with a tag. A copy that broke off goes on where it was.

Images go to DESTINATION/images/HOST/PATH, or below --images-to. The release's
manifests still name the images as before: tell the container runtime of the
mirror. The release still states where it was published: a policy has to name
the copy's repository under "mirrors".

With --policy or --key, the release is verified before anything is copied.`,
		Example: `  # Out, into a folder; and in, to another registry
  sealift copy oci://registry.example.com/deploy/shop:main oci-layout:shop --images --key cosign.pub
  sealift copy oci-layout:shop:main oci://registry.internal/deploy/shop --images \
    --images-to registry.internal/mirror`,
		Args: twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0], args[1]) },
	}
	flags := cmd.Flags()
	o.network.register(flags)
	o.trust.register(flags)
	flags.BoolVar(&o.plain, "plain-http", false, "speak plain HTTP to both registries")
	flags.BoolVar(&o.fromPlain, "from-plain-http", false, "speak plain HTTP to the registry of SOURCE")
	flags.BoolVar(&o.toPlain, "to-plain-http", false, "speak plain HTTP to the registry of DESTINATION")
	flags.StringSliceVar(&o.tags, "tags", nil, "tags that the copy gets, comma-separated (default the tag of DESTINATION, else that of SOURCE)")
	flags.BoolVar(&o.images, "images", false, "copy the images that the release lists, too")
	flags.StringVar(&o.imagesFrom, "images-from", "", "HOST[/PATH] of a mirror that has the images as HOST/PATH below it (default where the release says they are)")
	flags.StringVar(&o.imagesTo, "images-to", "", "HOST[/PATH] below which images are put as HOST/PATH (default DESTINATION/images)")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print no progress")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

// copyResult is what -o json prints.
type copyResult struct {
	Source      string        `json:"source"`
	Destination string        `json:"destination"`
	Tags        []string      `json:"tags"`
	Verified    bool          `json:"verified"`
	Images      []copiedImage `json:"images,omitempty"`
	artifact.Copied
}

// copiedImage is a line of the mapping from an image's name to its copy.
type copiedImage struct {
	Image string `json:"image"`
	Copy  string `json:"copy"`
	artifact.Copied
}

func (o *copyOptions) run(ctx context.Context, s streams, source, destination string) error {
	from, to, err := o.ends(source, destination)
	if err != nil {
		return err
	}
	registry, err := o.network.connect(o.plain || o.fromPlain || o.toPlain, o.plainHosts(from, to)...)
	if err != nil {
		return err
	}
	if err := errors.Join(from.open(registry, false), to.open(registry, true)); err != nil {
		return err
	}
	defer from.close()
	defer to.close()
	result := copyResult{Tags: o.tagsOf(from, to), Verified: o.trust.given()}
	reference, err := o.verified(ctx, s, registry, from)
	if err != nil {
		return err
	}
	d, config, err := artifact.ReadConfig(ctx, from.place, reference)
	if err != nil {
		return err
	}
	if to.digest != "" && to.digest != d {
		return fmt.Errorf("copying %s: its digest is %s, and DESTINATION names %s", source, d, to.digest)
	}
	result.Source, result.Destination = from.at(d), to.at(d)
	if o.images {
		if result.Images, err = o.copyImages(ctx, s, registry, from, to, config); err != nil {
			return err
		}
	}
	result.Copied, err = artifact.Copy(ctx, from.place, d.String(), to.place, artifact.CopyOptions{Tags: result.Tags, Progress: o.progress(s)})
	if err != nil {
		return err
	}
	return o.print(s, result)
}

func (o *copyOptions) ends(source, destination string) (from, to *end, err error) {
	if o.output != "" && o.output != "json" {
		return nil, nil, usage(errors.New(`-o: only "json" is known`))
	}
	if from, err = parseEnd(source); err != nil {
		return nil, nil, usage(fmt.Errorf("SOURCE: %w", err))
	}
	if to, err = parseEnd(destination); err != nil {
		return nil, nil, usage(fmt.Errorf("DESTINATION: %w", err))
	}
	switch {
	case from.layout == "" && from.reference() == "":
		return nil, nil, usage(fmt.Errorf("SOURCE: %s: a tag or digest is missing; hint: write %s:main", source, source))
	case from.layout != "" && o.trust.given():
		return nil, nil, usage(errors.New("a release in a folder cannot be verified; hint: verify where it is copied from, or what was copied"))
	case from.layout != "" && from.layout == to.layout:
		return nil, nil, usage(errors.New("SOURCE and DESTINATION are the same folder"))
	case slices.Contains(o.tags, ""):
		return nil, nil, usage(errors.New("--tags: a tag is empty"))
	case (o.imagesTo != "" || o.imagesFrom != "") && !o.images:
		return nil, nil, usage(errors.New("--images-from and --images-to need --images"))
	case o.imagesTo != "" && to.layout != "", o.imagesFrom != "" && from.layout != "":
		return nil, nil, usage(errors.New("a folder has its images beside the release: --images-from and --images-to are for registries"))
	}
	return from, to, nil
}

// plainHosts are the hosts that plain HTTP is spoken to: never those of images.
func (o *copyOptions) plainHosts(from, to *end) []string {
	hosts := []string{"localhost"}
	if o.plain || o.fromPlain {
		hosts = append(hosts, from.repository.Host)
	}
	if o.plain || o.toPlain {
		hosts = append(hosts, to.repository.Host)
	}
	return hosts
}

// tagsOf is what the copy is to be called.
func (o *copyOptions) tagsOf(from, to *end) []string {
	switch {
	case len(o.tags) > 0:
		return o.tags
	case to.tag != "":
		return []string{to.tag}
	case from.tag != "":
		return []string{from.tag}
	}
	return []string{}
}

// verified is the reference to copy: the digest that was verified, or what was
// asked for where nobody is named whom to trust.
func (o *copyOptions) verified(ctx context.Context, s streams, registry *artifact.Registry, from *end) (string, error) {
	if !o.trust.given() {
		fmt.Fprintln(s.Err, "not verified: neither --policy nor --key was given")
		return from.reference(), nil
	}
	verifier, policies, err := o.trust.connect(ctx)
	if err != nil {
		return "", err
	}
	ref := from.repository.At(from.digest)
	if from.digest == "" {
		if ref, err = registry.Resolve(ctx, from.repository, from.tag); err != nil {
			return "", err
		}
	}
	if _, err := verifier.Release(ctx, registry, ref, policies, verify.Claim{}); err != nil {
		return "", err
	}
	return ref.Digest.String(), nil
}

// copyImages goes before the release, so that no tag names one whose images are
// not there yet.
func (o *copyOptions) copyImages(ctx context.Context, s streams, registry *artifact.Registry, from, to *end, config artifact.Config) ([]copiedImage, error) {
	mapping, err := o.mapping(to)
	if err != nil {
		return nil, err
	}
	if len(config.Images) > maxCopiedImages {
		return nil, fmt.Errorf("copying the images: the release lists %d, more than %d", len(config.Images), maxCopiedImages)
	}
	var copies []copiedImage
	for _, image := range config.Images {
		written := imageName(image)
		address, err := artifact.ParseImage(written)
		if err != nil {
			return copies, fmt.Errorf("copying the images: %w", err)
		}
		source, reference, err := o.imageSource(registry, from, address)
		if err != nil {
			return copies, err
		}
		target, at, tags := to.place, to.at, []string{address.Repository.String() + ":" + address.Tag}
		if to.layout == "" {
			repository := mapping.Of(address.Repository)
			target, at, tags = registry.In(repository), func(d digest.Digest) string { return repository.At(d).String() }, []string{address.Tag}
		}
		if address.Tag == "" {
			tags = nil
		}
		done, err := artifact.Copy(ctx, source, reference, target, artifact.CopyOptions{Tags: tags, Progress: o.progress(s)})
		if err != nil {
			return copies, fmt.Errorf("copying the image %s: %w", printable(written), err)
		}
		copies = append(copies, copiedImage{Image: written, Copy: at(done.Digest), Copied: done})
	}
	return copies, nil
}

func (o *copyOptions) mapping(to *end) (artifact.Prefix, error) {
	switch {
	case o.imagesTo != "":
		prefix, err := artifact.ParsePrefix(o.imagesTo)
		if err != nil {
			return artifact.Prefix{}, usage(fmt.Errorf("--images-to: %w", err))
		}
		return prefix, nil
	case to.layout != "":
		return artifact.Prefix{}, nil
	}
	return artifact.Prefix{Host: to.repository.Host, Path: to.repository.Path + "/images"}, nil
}

// imageSource is where an image is read, and by which reference.
func (o *copyOptions) imageSource(registry *artifact.Registry, from *end, image artifact.Address) (artifact.Place, string, error) {
	reference := image.Tag
	if image.Digest != "" {
		reference = image.Digest.String()
	}
	if from.layout != "" {
		if image.Digest == "" {
			reference = image.Repository.String() + ":" + image.Tag
		}
		return from.place, reference, nil
	}
	if o.imagesFrom == "" {
		return registry.In(image.Repository), reference, nil
	}
	prefix, err := artifact.ParsePrefix(o.imagesFrom)
	if err != nil {
		return nil, "", usage(fmt.Errorf("--images-from: %w", err))
	}
	return registry.In(prefix.Of(image.Repository)), reference, nil
}

func imageName(image artifact.Image) string {
	name := image.Name
	if image.Tag != "" {
		name += ":" + image.Tag
	}
	if image.Digest != "" {
		name += "@" + image.Digest
	}
	return name
}

func (o *copyOptions) progress(s streams) func(string) {
	if o.quiet {
		return nil
	}
	return func(step string) { fmt.Fprintln(s.Err, printable(step)) }
}

func (o *copyOptions) print(s streams, r copyResult) error {
	if o.output == "json" {
		return printJSON(s.Out, r)
	}
	for _, image := range r.Images {
		fmt.Fprintf(s.Err, "image %s\n   to %s\n", printable(image.Image), image.Copy)
		tellSkipped(s, image.Copied)
	}
	tellSkipped(s, r.Copied)
	fmt.Fprintf(s.Err, "copied %s\n    to %s\n  tags %s; %d signatures and other referrers; %d blobs of %d bytes written\n",
		r.Source, r.Destination, printable(strings.Join(r.Tags, " ")), r.Referrers, r.Blobs, r.Bytes)
	return nil
}

// tellSkipped names what a copy lacks: it may be the signature that somebody wants.
func tellSkipped(s streams, done artifact.Copied) {
	for _, skipped := range done.Skipped {
		fmt.Fprintf(s.Err, "left out %s: %s\n", skipped.Digest, printable(skipped.Why))
	}
	if done.SkippedMore > 0 {
		fmt.Fprintf(s.Err, "left out %d more\n", done.SkippedMore)
	}
}
