package tailor

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/types"

	"sealift.dev/internal/objects"
)

const (
	// maxBatch and maxBatchBytes bound the objects of a batch, so that kustomize is
	// done with it in a tenth of a second; maxTogether bounds those that it has to see
	// at once, and maxPatchings these times patches.
	maxBatch      = 32
	maxBatchBytes = 256 << 10
	maxTogether   = 500
	maxPatchings  = 5000
	// maxWeight bounds the values in patches times the objects that they are for: each
	// takes a tenth of a millisecond. maxBatchWeight is that of a batch, and maxOneWeight
	// that of one object.
	maxWeight      = 200_000
	maxBatchWeight = 2000
	maxOneWeight   = 20_000
)

// batch is what kustomize works on at once: members, and what they refer to.
type batch struct {
	places     []int // of members, in the release
	members    []*unstructured.Unstructured
	companions []*unstructured.Unstructured
	patches    []int
}

func (b batch) all() []*unstructured.Unstructured { return slices.Concat(b.members, b.companions) }

func (b batch) picked(patches []patch) []types.Patch {
	var picked []types.Patch
	for _, k := range b.patches {
		picked = append(picked, patches[k].Patch)
	}
	return picked
}

// pickedForCompanions leaves out what names others, and would find nothing.
func (b batch) pickedForCompanions(patches []patch) []types.Patch {
	var picked []types.Patch
	for _, k := range b.patches {
		names := func(u *unstructured.Unstructured) bool { return patches[k].named[idOf(u)] }
		if patches[k].selects != nil || slices.ContainsFunc(b.companions, names) {
			picked = append(picked, patches[k].Patch)
		}
	}
	return picked
}

// division is a release on its way into batches. All are by an object's place.
type division struct {
	objs      []*unstructured.Unstructured
	is        []objectID
	patches   []patch
	namespace string
	// chosen are the patches that an object may be chosen by, companions the objects
	// that kustomize has to see with it.
	chosen, companions [][]int
	// together are the objects that kustomize has to see at once.
	together []bool
	weight   []int
}

// divide says which of objs kustomize has to see, and which of them with which. Others
// are as they were: neither moved nor patched, nor do they refer to such.
func divide(objs []*unstructured.Unstructured, patches []patch, namespace string) ([]batch, error) {
	n := len(objs)
	d := &division{
		objs: objs, patches: patches, namespace: namespace,
		is: make([]objectID, n), chosen: make([][]int, n), companions: make([][]int, n), together: make([]bool, n), weight: make([]int, n),
	}
	seen := make(map[objectID]bool, n)
	for i, u := range objs {
		if d.is[i] = idOf(u); seen[d.is[i]] {
			return nil, fmt.Errorf("%s is there twice: no namespace means default to kustomize", name(u))
		}
		seen[d.is[i]] = true
	}
	if err := d.weigh(); err != nil {
		return nil, err
	}
	d.tie()
	if err := d.accompany(); err != nil {
		return nil, err
	}
	return d.batches()
}

// weigh finds the patches of each object, and bounds the work of all.
func (d *division) weigh() error {
	total := 0
	for i, u := range d.objs {
		for k := range d.patches {
			p := &d.patches[k]
			if !p.may(u, d.is[i]) {
				continue
			}
			d.chosen[i] = append(d.chosen[i], k)
			weight := max(1, p.values)
			if p.selects == nil {
				weight = max(1, p.values/len(p.named))
			}
			d.weight[i] += weight
			if total += weight; total > maxWeight || d.weight[i] > maxOneWeight {
				return fmt.Errorf("patches[%d]: %w: values in patches times the objects that they are for are at most %d, and %d for one object; hint: name the object in its target", k, objects.ErrLimit, maxWeight, maxOneWeight)
			}
		}
	}
	return nil
}

// tie finds what one batch has to hold: objects that patches give other names, what has
// or mentions these names, and what a patch of several documents names.
func (d *division) tie() {
	names := map[string]bool{}
	for i := range d.objs {
		for _, k := range d.chosen[i] {
			p := d.patches[k]
			if d.together[i] = d.together[i] || p.renames || p.selects == nil && len(p.named) > 1; p.renames {
				names[d.is[i].name] = true
				for text := range p.texts {
					names[text] = true
				}
			}
		}
	}
	if len(names) == 0 {
		return
	}
	for i, u := range d.objs {
		d.together[i] = d.together[i] || names[d.is[i].name] || holds(u.Object, names) ||
			slices.ContainsFunc(d.chosen[i], func(k int) bool { return common(d.patches[k].texts, names) })
	}
}

// holds says that a text in v is one of names.
func holds(v any, names map[string]bool) bool {
	switch v := v.(type) {
	case string:
		return names[v]
	case []any:
		return slices.ContainsFunc(v, func(child any) bool { return holds(child, names) })
	case map[string]any:
		for _, child := range v {
			if holds(child, names) {
				return true
			}
		}
	}
	return false
}

func common(a, b map[string]bool) bool {
	for text := range a {
		if b[text] {
			return true
		}
	}
	return false
}

// batches are first what belongs together, then the rest in order.
func (d *division) batches() ([]batch, error) {
	var tied, rest []int
	for i := range d.objs {
		switch {
		case d.together[i]:
			tied = append(tied, i)
		case d.namespace != "" || len(d.chosen[i])+len(d.companions[i]) > 0:
			rest = append(rest, i)
		}
	}
	if len(tied) > maxTogether || len(tied)*len(d.patches) > maxPatchings {
		return nil, fmt.Errorf("patches that change names, or name several objects, concern %d objects, and there are %d patches: %w: at most %d objects, and %d objects times patches; hint: give each merge patch one document, and rename nothing",
			len(tied), len(d.patches), objects.ErrLimit, maxTogether, maxPatchings)
	}
	var all []batch
	if len(tied) > 0 {
		all = append(all, d.batch(tied))
	}
	for len(rest) > 0 {
		n := d.fit(rest)
		all = append(all, d.batch(rest[:n]))
		rest = rest[n:]
	}
	return d.tryAll(all), nil
}

// fit is how many of places make a batch.
func (d *division) fit(places []int) int {
	bytes, weight, companions := 0, 0, 0
	for n, i := range places {
		bytes, weight, companions = bytes+size(d.objs[i].Object), weight+d.weight[i], companions+len(d.companions[i])
		if n > 0 && (n == maxBatch || bytes > maxBatchBytes || weight > maxBatchWeight || companions > maxBatch) {
			return n
		}
	}
	return len(places)
}

// size is about how many bytes v takes as text.
func size(v any) int {
	n := 8
	switch v := v.(type) {
	case string:
		n += len(v)
	case []any:
		for _, child := range v {
			n += size(child)
		}
	case map[string]any:
		for key, child := range v {
			n += len(key) + size(child)
		}
	}
	return n
}

func (d *division) batch(places []int) batch {
	b := batch{places: places}
	concerned, with := map[int]bool{}, map[int]bool{}
	add := func(to *[]*unstructured.Unstructured, i int) {
		*to, with[i] = append(*to, d.objs[i]), true
		for _, k := range d.chosen[i] {
			concerned[k] = true
		}
	}
	for _, i := range places {
		add(&b.members, i)
	}
	for _, i := range places {
		for _, j := range d.companions[i] {
			if !with[j] {
				add(&b.companions, j)
			}
		}
	}
	tied := d.together[places[0]]
	for k, p := range d.patches { // a target may choose a tied object by the name that it gets
		if concerned[k] || tied && p.selects != nil {
			b.patches = append(b.patches, k)
		}
	}
	return b
}

// tryAll gives the first batch the patches that are for no object: kustomize says
// what is wrong with them, if something is.
func (d *division) tryAll(batches []batch) []batch {
	if len(d.objs) == 0 {
		return nil
	}
	used := map[int]bool{}
	for _, b := range batches {
		for _, k := range b.patches {
			used[k] = true
		}
	}
	if len(batches) == 0 {
		batches = append(batches, batch{places: []int{0}, members: d.objs[:1]})
	}
	for k := range d.patches {
		if !used[k] {
			batches[0].patches = append(batches[0].patches, k)
		}
	}
	slices.Sort(batches[0].patches)
	return batches
}
