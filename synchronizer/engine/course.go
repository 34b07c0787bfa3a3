package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Phase is when in a delivery a hook runs.
type Phase string

const (
	// PreSync hooks run before anything else is written.
	PreSync Phase = "PreSync"
	// Sync hooks run among the objects of their wave.
	Sync Phase = "Sync"
	// PostSync hooks run when everything is healthy, before anything is pruned.
	PostSync Phase = "PostSync"
	// SyncFail hooks run when the release has failed.
	SyncFail Phase = "SyncFail"
)

const (
	// mine and theirs are prefixes of annotations that mean the same; mine comes first.
	mine   = "sealift.dev/"
	theirs = "argocd.argoproj.io/"
	// afterAnnotation names objects to be applied and healthy before this one.
	afterAnnotation = "config.kubernetes.io/depends-on"

	// maxWave bounds waves in both directions.
	maxWave = 1000
	// maxAfter bounds how many objects one object may wait for.
	maxAfter = 64
)

// course is where an object comes in a delivery, as its annotations say. The zero
// course is that of an object without any: wave 0, no hook.
type course struct {
	wave int
	// phases are when it runs as a hook, in their order; empty for what is no hook.
	phases []Phase
	// skipped says why it is not applied at all.
	skipped string
	ends    endings
	// after are what it waits for.
	after []ObjectRef
}

// endings are when a hook's object is deleted, besides before it runs again.
type endings struct{ succeeded, failed bool }

func (c course) hook() bool { return len(c.phases) > 0 }

// readCourse reads the annotations of a wanted object.
func readCourse(o *unstructured.Unstructured) (course, error) {
	var c course
	all, _, _ := unstructured.NestedFieldNoCopy(o.Object, "metadata", "annotations")
	annotations, _ := all.(map[string]any)
	if len(annotations) == 0 {
		return c, nil
	}
	if key, value := either(annotations, "wave", "sync-wave"); key != "" {
		wave, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || wave < -maxWave || wave > maxWave {
			return c, fmt.Errorf("%s: %q is no integer from %d to %d: %w", key, value, -maxWave, maxWave, ErrInvalidTarget)
		}
		c.wave = wave
	}
	if err := c.readHook(either(annotations, "hook", "hook")); err != nil {
		return c, err
	}
	if err := c.readEndings(either(annotations, "hook-delete", "hook-delete-policy")); err != nil {
		return c, err
	}
	if _, forged := annotations[runAnnotation]; forged {
		return c, fmt.Errorf("%s is set by the synchronizer alone: %w", runAnnotation, ErrInvalidTarget)
	}
	text, _ := annotations[afterAnnotation].(string)
	return c, c.readAfter(text)
}

// waveOf reads the wave of a live object; 0 where nothing sensible is written.
func waveOf(annotations map[string]string) int {
	for _, key := range []string{mine + "wave", theirs + "sync-wave"} {
		if wave, err := strconv.Atoi(strings.TrimSpace(annotations[key])); err == nil && wave >= -maxWave && wave <= maxWave {
			return wave
		}
	}
	return 0
}

// either is the annotation in our spelling or in Argo CD's.
func either(annotations map[string]any, name, argoName string) (key, value string) {
	for _, key := range []string{mine + name, theirs + argoName} {
		if value, ok := annotations[key].(string); ok && strings.TrimSpace(value) != "" {
			return key, value
		}
	}
	return "", ""
}

func (c *course) readHook(key, list string) error {
	if key == "" {
		return nil
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		switch strings.ToLower(name) {
		case "skip", "predelete", "postdelete":
			c.skipped = key + ": " + name
		case "presync":
			c.phases = append(c.phases, PreSync)
		case "sync":
			c.phases = append(c.phases, Sync)
		case "postsync":
			c.phases = append(c.phases, PostSync)
		case "syncfail":
			c.phases = append(c.phases, SyncFail)
		default:
			return fmt.Errorf("%s: %q is none of PreSync, Sync, PostSync, SyncFail and Skip: %w", key, name, ErrInvalidTarget)
		}
	}
	slices.SortFunc(c.phases, func(a, b Phase) int { return a.order() - b.order() })
	c.phases = slices.Compact(c.phases)
	if c.hook() {
		c.skipped = ""
	}
	return nil
}

func (c *course) readEndings(key, list string) error {
	if key == "" {
		return nil
	}
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); strings.ToLower(name) {
		case "hooksucceeded":
			c.ends.succeeded = true
		case "hookfailed":
			c.ends.failed = true
		case "beforehookcreation": // always
		default:
			return fmt.Errorf("%s: %q is none of HookSucceeded, HookFailed and BeforeHookCreation: %w", key, name, ErrInvalidTarget)
		}
	}
	return nil
}

func (c *course) readAfter(list string) error {
	if strings.TrimSpace(list) == "" {
		return nil
	}
	for text := range strings.SplitSeq(list, ",") {
		ref, ok := parseReference(strings.TrimSpace(text))
		if !ok {
			return fmt.Errorf("%s: %q is neither GROUP/namespaces/NAMESPACE/KIND/NAME nor GROUP/KIND/NAME: %w", afterAnnotation, text, ErrInvalidTarget)
		}
		c.after = append(c.after, ref)
	}
	if len(c.after) > maxAfter {
		return fmt.Errorf("%s names %d objects, and %d are allowed: %w", afterAnnotation, len(c.after), maxAfter, ErrInvalidTarget)
	}
	return nil
}

// parseReference reads what config.kubernetes.io/depends-on holds; the core group
// is empty.
func parseReference(text string) (ObjectRef, bool) {
	parts := strings.Split(text, "/")
	for _, part := range parts[1:] {
		if part == "" {
			return ObjectRef{}, false
		}
	}
	switch {
	case len(parts) == 3:
		return ObjectRef{Group: parts[0], Kind: parts[1], Name: parts[2]}, true
	case len(parts) == 5 && parts[1] == "namespaces":
		return ObjectRef{Group: parts[0], Namespace: parts[2], Kind: parts[3], Name: parts[4]}, true
	}
	return ObjectRef{}, false
}

// order is where a phase comes; the zero Phase is the release itself.
func (p Phase) order() int {
	switch p {
	case PreSync:
		return -1
	case PostSync:
		return 1
	case SyncFail:
		return 2
	default:
		return 0
	}
}
