package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// shardFull is the size, in bytes, from which a ConfigMap takes no further record:
	// one that changes is written in full.
	shardFull = 64 << 10
	// shardMost is the size from which a record that grows moves away from others, far
	// below the MiB that an API server takes.
	shardMost = 256 << 10
)

// place puts records into ConfigMaps: where they are already, else into the first that
// has room, else into a new one. It returns copies to be written, in this order, and
// those of earlier versions, whose records are among them, to be deleted afterwards.
func place(namespace string, stored map[string]*corev1.ConfigMap, batch []*saving) (changed, migrated []*corev1.ConfigMap) {
	batch = slices.Clone(batch)
	shards := map[string]*corev1.ConfigMap{}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		c := stored[name]
		if by := c.Annotations[acceptedBy]; by == "" {
			shards[name] = c
		} else if s := single(c, by); s != nil {
			batch, migrated = append([]*saving{s}, batch...), append(migrated, c)
		}
	}
	dirty := map[string]bool{}
	for _, s := range batch {
		name := homeOf(namespace, shards, s)
		c := shards[name]
		if !dirty[name] {
			c = c.DeepCopy()
			shards[name], dirty[name] = c, true
		}
		if c.Data == nil {
			c.Data = map[string]string{}
		}
		metav1.SetMetaDataLabel(&c.ObjectMeta, managedBy, "sealift") // without it, it is not seen
		c.Data[s.key] = encode(c.Data[s.key], s.value)
	}
	for _, name := range slices.Sorted(maps.Keys(dirty)) {
		changed = append(changed, shards[name])
	}
	return changed, migrated
}

// homeOf is the name of the ConfigMap for a record, which is made where none has room.
func homeOf(namespace string, shards map[string]*corev1.ConfigMap, s *saving) string {
	names := slices.SortedFunc(maps.Keys(shards), func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	for _, name := range names {
		c := shards[name]
		if _, there := c.Data[s.key]; there && (size(c) < shardMost || len(c.Data) == 1) {
			return name
		}
	}
	for _, name := range names {
		if _, there := shards[name].Data[s.key]; !there && size(shards[name]) < shardFull {
			return name
		}
	}
	next := 1
	if len(names) > 0 {
		next = max(next, number(names[len(names)-1])+1)
	}
	name := acceptedPrefix + strconv.Itoa(next)
	shards[name] = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	return name
}

// number is that of a ConfigMap's name; 0: it has none.
func number(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, acceptedPrefix))
	if err != nil {
		return 0
	}
	return n
}

func size(c *corev1.ConfigMap) int {
	n := 0
	for key, value := range c.Data {
		n += len(key) + len(value)
	}
	return n
}

// encode adds to a record, one line for each watermark and one for what was begun. What
// was there and is not lower stays.
func encode(before string, value record) string {
	merged := record{marks: maps.Clone(value.marks), begun: value.begun}
	if known, err := decode(before); err == nil {
		merged.add(known)
	}
	if value.begun != nil {
		merged.begun = value.begun // whatever the clocks of former leaders said
	}
	var lines []string
	for _, repository := range slices.Sorted(maps.Keys(merged.marks)) {
		line, _ := json.Marshal(merged.marks[repository]) // texts and numbers: it always encodes
		lines = append(lines, string(line))
	}
	if merged.begun != nil {
		line, _ := json.Marshal(map[string]*beginning{"Begun": merged.begun}) // plain data: it always encodes
		lines = append(lines, string(line))
	}
	return "[" + strings.Join(lines, ",\n") + "]"
}

// decode reads a record; an empty text is an empty one.
func decode(text string) (record, error) {
	found := record{marks: watermarks{}}
	if text == "" {
		return found, nil
	}
	var lines []recordLine
	if err := json.Unmarshal([]byte(text), &lines); err != nil {
		return record{}, err
	}
	for _, line := range lines {
		if line.Begun != nil {
			found.begun = line.Begun
			continue
		}
		found.marks[line.Repository] = line.Watermark
	}
	return found, nil
}

// single is the record of a ConfigMap that an earlier version wrote; nil where it
// cannot be read, and stays.
func single(c *corev1.ConfigMap, by string) *saving {
	namespace, name, _ := strings.Cut(by, "/")
	d := types.NamespacedName{Namespace: namespace, Name: name}
	value, err := entryOf(c, d)
	if err != nil {
		return nil
	}
	return &saving{key: recordKey(d), value: value}
}

// put writes a ConfigMap. One that somebody else has written meanwhile is read again,
// and a conflict.
func (a *acceptance) put(ctx context.Context, c *corev1.ConfigMap) error {
	var err error
	if c.ResourceVersion == "" {
		err = a.client.Create(ctx, c)
	} else {
		err = a.client.Update(ctx, c)
	}
	if err == nil {
		a.see(c)
		return nil
	}
	if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
		return err
	}
	var now corev1.ConfigMap
	switch problem := a.reader.Get(ctx, client.ObjectKeyFromObject(c), &now); {
	case apierrors.IsNotFound(problem):
		a.lose(c)
	case problem != nil:
		return fmt.Errorf("reading config map %s/%s again: %w", c.Namespace, c.Name, problem)
	default:
		a.see(&now)
	}
	return apierrors.NewConflict(corev1.Resource("configmaps"), c.Name, errors.New("somebody else wrote it"))
}
