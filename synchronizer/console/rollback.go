package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sealift.dev/api/v1alpha1"
)

// unpinnedAnnotation remembers what a source followed before it was rolled back.
const unpinnedAnnotation = "sealift.dev/unpinned-source"

// Past is a release that was applied in full and became healthy.
type Past struct {
	Repository string   `json:"repository"`
	Digest     string   `json:"digest"`
	Revision   string   `json:"revision,omitempty"`
	Version    string   `json:"version,omitempty"`
	SignedBy   []string `json:"signedBy,omitempty"`
	// Delivered is when that was.
	Delivered *time.Time `json:"delivered,omitempty"`
	// Applied says that it is the last one.
	Applied bool `json:"applied"`
}

func pastOf(d *v1alpha1.Delivery) []Past {
	past := []Past{}
	for _, r := range d.Status.History {
		p := Past{Repository: r.Repository, Digest: r.Digest, Revision: r.Revision, Version: r.Version, SignedBy: r.SignedBy}
		if r.Since != nil {
			p.Delivered = &r.Since.Time
		}
		p.Applied = d.Status.Applied != nil && d.Status.Applied.Digest == r.Digest
		past = append(past, p)
	}
	return past
}

// History are the last releases of a Delivery, the newest first.
func (c *Client) History(ctx context.Context, namespace, name string) ([]Past, error) {
	d, err := c.get(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return pastOf(d), nil
}

// Rolled is what became of a source.
type Rolled struct {
	Ticket
	// Source is what the Delivery names now, and Before what it named.
	Source, Before string
	// To is the release that is pinned; zero after an undo.
	To Past
	// Managers hold the source as well, and may undo the change.
	Managers []string
}

// Rollback pins a Delivery to a release of its history: the one of a digest, or its
// beginning of at least eight digits, or of a version. Where to is empty, it is the
// last good one while a newer one has failed half-way, and else the one before.
func (c *Client) Rollback(ctx context.Context, namespace, name, to string) (Rolled, error) {
	r := Rolled{Ticket: Ticket{Namespace: namespace, Name: name}}
	d, err := c.edit(ctx, namespace, name, func(d *v1alpha1.Delivery) (merge, error) {
		chosen, err := choose(d, to)
		if err != nil {
			return nil, fmt.Errorf("rolling back delivery %s/%s: %w", namespace, name, err)
		}
		r.To, r.Before, r.Managers = chosen, sourceOf(d.Spec.Source), managersOf(d)
		former, err := unpinned(d)
		if err != nil {
			return nil, err
		}
		return merge{
			"metadata": merge{"annotations": merge{unpinnedAnnotation: former}},
			"spec":     merge{"source": merge{"tag": nil, "semver": nil, "digest": chosen.Digest}},
		}, nil
	})
	if err != nil {
		return Rolled{}, err
	}
	r.Source, r.generation = sourceOf(d.Spec.Source), d.Generation
	return r, nil
}

// Unpin lets a source follow again what it did before it was rolled back.
func (c *Client) Unpin(ctx context.Context, namespace, name string) (Rolled, error) {
	r := Rolled{Ticket: Ticket{Namespace: namespace, Name: name}}
	d, err := c.edit(ctx, namespace, name, func(d *v1alpha1.Delivery) (merge, error) {
		var former reference
		if err := json.Unmarshal([]byte(d.Annotations[unpinnedAnnotation]), &former); err != nil {
			return nil, fmt.Errorf("delivery %s/%s has no annotation %s: it was not rolled back here; hint: set spec.source as it shall be", namespace, name, unpinnedAnnotation)
		}
		r.Before, r.Managers = sourceOf(d.Spec.Source), managersOf(d)
		return merge{
			"metadata": merge{"annotations": merge{unpinnedAnnotation: nil}},
			"spec":     merge{"source": former.patch()},
		}, nil
	})
	if err != nil {
		return Rolled{}, err
	}
	r.Source, r.generation = sourceOf(d.Spec.Source), d.Generation
	return r, nil
}

// reference is what a source names in its repository.
type reference struct {
	Tag    string `json:"tag,omitempty"`
	Semver string `json:"semver,omitempty"`
	Digest string `json:"digest,omitempty"`
}

func (r reference) patch() merge {
	patch := merge{}
	for field, value := range map[string]string{"tag": r.Tag, "semver": r.Semver, "digest": r.Digest} {
		patch[field] = nil
		if value != "" {
			patch[field] = value
		}
	}
	return patch
}

// unpinned is what the source followed before it was first rolled back.
func unpinned(d *v1alpha1.Delivery) (string, error) {
	if former := d.Annotations[unpinnedAnnotation]; former != "" {
		return former, nil
	}
	s := d.Spec.Source
	former, err := json.Marshal(reference{Tag: s.Tag, Semver: s.Semver, Digest: s.Digest})
	return string(former), err
}

// choose finds the release of the history that is meant.
func choose(d *v1alpha1.Delivery, to string) (Past, error) {
	past := pastOf(d)
	if to == "" {
		halfWay := d.Status.Attempted != nil && d.Status.Attempted.Since != nil
		past = slices.DeleteFunc(past, func(p Past) bool { return p.Applied != halfWay })
		if len(past) == 0 {
			return Past{}, fmt.Errorf("an earlier release is %w in its history; hint: sealift rollback --list, or set spec.source.digest", ErrNotFound)
		}
		return here(d, past[0])
	}
	var fits []Past
	for _, p := range past {
		if p.means(to) && !slices.ContainsFunc(fits, func(o Past) bool { return o.Digest == p.Digest }) {
			fits = append(fits, p)
		}
	}
	switch len(fits) {
	case 0:
		return Past{}, fmt.Errorf("the release %q is %w in its history; hint: sealift rollback --list, or set spec.source.digest", to, ErrNotFound)
	case 1:
		return here(d, fits[0])
	}
	return Past{}, fmt.Errorf("%q means %d releases of its history; hint: name a digest", to, len(fits))
}

func (p Past) means(to string) bool {
	const fewest = 8 // digits that tell two digests apart
	begun := strings.TrimPrefix(to, "sha256:")
	return p.Version == to || len(begun) >= fewest && strings.HasPrefix(strings.TrimPrefix(p.Digest, "sha256:"), begun)
}

// here refuses what was read from another repository than the source's.
func here(d *v1alpha1.Delivery, p Past) (Past, error) {
	if "oci://"+p.Repository != strings.TrimSuffix(d.Spec.Source.URL, "/") {
		return Past{}, errors.New("the release was read from " + p.Repository + ", and the source is another by now; hint: set spec.source.url and digest together")
	}
	return p, nil
}

// managersOf are those besides people at a command line who hold the source.
func managersOf(d *v1alpha1.Delivery) []string {
	var found []string
	for _, m := range d.ManagedFields {
		if m.FieldsV1 == nil || m.Subresource != "" || m.Manager == FieldManager || strings.HasPrefix(m.Manager, "kubectl") {
			continue
		}
		var set struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if json.Unmarshal(m.FieldsV1.GetRawBytes(), &set) == nil && set.Spec["f:source"] != nil {
			found = append(found, m.Manager)
		}
	}
	return found
}
