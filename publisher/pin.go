package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
)

// pins asks once for each image of a batch, for a few at a time.
type pins struct {
	slots chan struct{}

	mu    sync.Mutex
	asked map[string]*answer // by the image as it is written
}

// answer is what is known of an image, once done is closed.
type answer struct {
	done  chan struct{}
	image artifact.Image
	err   error
}

func newPins() *pins { return &pins{slots: make(chan struct{}, parallel), asked: map[string]*answer{}} }

// pin gives every image in r its digest: NAME:TAG becomes NAME:TAG@DIGEST, in whatever
// spelling the name is. Before are digests that this very commit was published with.
// It returns the images, sorted, each once.
func (p *pins) pin(ctx context.Context, o Options, r rendered, before map[string]string) ([]artifact.Image, error) {
	images := map[string]artifact.Image{} // by the pinned reference
	var problems []error
	answers, err := p.askAll(ctx, o, r, before)
	if err != nil {
		return nil, err
	}
	for _, name := range r.names() {
		told := map[string]bool{}
		err := objects.EachImage(r.objects[name], o.ImagePaths, func(u *unstructured.Unstructured, written string) (string, error) {
			a := answers[written]
			<-a.done
			if a.err != nil {
				if !told[written] {
					problems = append(problems, fmt.Errorf("the environment %s: %s: %w", name, objects.Name(u), a.err))
				}
				told[written] = true
				return written, nil
			}
			pinned := withDigest(written, a.image.Digest)
			images[pinned] = a.image
			return pinned, nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	all := make([]artifact.Image, 0, len(images))
	for _, image := range images {
		all = append(all, image)
	}
	slices.SortFunc(all, func(a, b artifact.Image) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Digest, b.Digest))
	})
	return all, nil
}

// maxImages is how many images one release may name.
const maxImages = 5000

// images lists the images of all environments as they are written, sorted, each once.
func (r rendered) images(o Options) []string {
	var all []*unstructured.Unstructured
	for _, name := range r.names() {
		all = append(all, r.objects[name]...)
	}
	return objects.Images(all, o.ImagePaths...)
}

// askAll asks for every image in r, and does not wait for the answers.
func (p *pins) askAll(ctx context.Context, o Options, r rendered, before map[string]string) (map[string]*answer, error) {
	images := r.images(o)
	if len(images) > maxImages {
		return nil, fmt.Errorf("the release names %d images, more than %d: %w", len(images), maxImages, objects.ErrLimit)
	}
	answers := map[string]*answer{}
	for _, written := range images {
		asked := written
		if digest := before[written]; digest != "" {
			asked = withDigest(written, digest)
		}
		answers[written] = p.ask(ctx, o, asked)
	}
	return answers, nil
}

func withDigest(written, digest string) string {
	if strings.Contains(written, "@") {
		return written
	}
	return written + "@" + digest
}

func (p *pins) ask(ctx context.Context, o Options, written string) *answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok := p.asked[written]; ok {
		return a
	}
	a := &answer{done: make(chan struct{})}
	p.asked[written] = a
	go func() {
		defer close(a.done)
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
			a.image, a.err = resolveImage(ctx, o, written)
		case <-ctx.Done():
			a.err = ctx.Err()
		}
	}()
	return a
}

func resolveImage(ctx context.Context, o Options, written string) (artifact.Image, error) {
	image, err := o.Images.Image(ctx, written)
	if err != nil || o.ImageVerifier == nil {
		return image, err
	}
	address, err := artifact.ParseImage(withDigest(written, image.Digest))
	if err != nil {
		return image, err
	}
	image.SignedBy, err = o.ImageVerifier.VerifyImage(ctx, address.Repository.At(address.Digest))
	if err != nil {
		return image, fmt.Errorf("verifying the image %q: %w", written, err)
	}
	return image, nil
}

// hasTags says that an image is named without its digest.
func (r rendered) hasTags(o Options) bool {
	return slices.ContainsFunc(r.images(o), func(written string) bool { return !strings.Contains(written, "@") })
}
