package automator

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"sealift.dev/internal/httpx"
)

// Limits of one list of tags.
const (
	maxTags      = 200_000
	maxPages     = 2_000
	maxPageBytes = 4 << 20
	scansAtOnce  = 8
)

// images holds what is known about each image of a configuration.
type images map[image]scanned

type scanned struct {
	candidates *candidates
	err        error
}

// scanner lists the tags of container images.
type scanner struct {
	puller *remote.Puller
	name   []name.Option
}

func newScanner(opts Options) (*scanner, error) {
	bounded := &boundedTransport{inner: opts.Transport, limit: maxPageBytes, plainHTTP: opts.PlainHTTP}
	puller, err := remote.NewPuller(
		remote.WithAuthFromKeychain(opts.Keychain),
		remote.WithTransport(&httpx.Guard{Base: bounded, Pace: httpx.DefaultPace()}),
		remote.WithUserAgent("sealift"),
	)
	if err != nil {
		return nil, fmt.Errorf("preparing to list tags: %w", err)
	}
	s := &scanner{puller: puller}
	if opts.PlainHTTP {
		s.name = append(s.name, name.Insecure)
	}
	return s, nil
}

// scan adds to known the images of c that are not yet in it.
func (s *scanner) scan(ctx context.Context, c config, known images) {
	var missing []image
	for _, img := range c.images {
		if _, ok := known[img]; !ok {
			missing = append(missing, img)
		}
	}
	found := make([]scanned, len(missing))
	var group errgroup.Group
	group.SetLimit(scansAtOnce)
	for i, img := range missing {
		group.Go(func() error {
			found[i] = s.scanImage(ctx, img)
			return nil
		})
	}
	_ = group.Wait() // every failure is in found
	for i, img := range missing {
		known[img] = found[i]
	}
}

func (s *scanner) scanImage(ctx context.Context, img image) scanned {
	best, err := newCandidates(img.semver)
	if err == nil {
		err = s.list(ctx, img.repo, best.offer)
	}
	if err != nil {
		return scanned{err: fmt.Errorf("listing tags of %s: %w", img.repo, err)}
	}
	return scanned{candidates: best}
}

// list hands every tag of a repository to offer, page by page.
func (s *scanner) list(ctx context.Context, repo string, offer func(string)) error {
	repository, err := name.NewRepository(repo, s.name...)
	if err != nil {
		return err
	}
	lister, err := s.puller.Lister(ctx, repository)
	if err != nil {
		return explain(err)
	}
	tags := 0
	for pages := 0; lister.HasNext(); pages++ {
		if pages == maxPages {
			return fmt.Errorf("there are more than %d pages of tags", maxPages)
		}
		page, err := lister.Next(ctx)
		if err != nil {
			return explain(err)
		}
		if tags += len(page.Tags); tags > maxTags {
			return fmt.Errorf("there are more than %d tags", maxTags)
		}
		for _, tag := range page.Tags {
			offer(tag)
		}
	}
	return nil
}

// explain adds a hint to what a registry answers.
func explain(err error) error {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return err
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w; hint: docker login, or check the name of the image", err)
	case http.StatusNotFound:
		return fmt.Errorf("%w; hint: check the name of the image", err)
	}
	return err
}
