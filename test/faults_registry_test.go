package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/test/stage"
)

// faulty moves the world to a registry that answers wrongly when told to.
func (w *world) faulty() *stage.Faults {
	w.t.Helper()
	faults := &stage.Faults{}
	registry, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true, Wrap: faults.Wrap})
	must(w.t, err)
	w.t.Cleanup(func() { registry.Close() })
	w.registry = registry
	return faults
}

// pointing reads a release, and returns what makes a tag name it, and the release's layer.
func (w *world) pointing(p published, tag string) (point func(), layer string) {
	w.t.Helper()
	repository, err := name.NewRepository(strings.TrimPrefix(w.repository(), "oci://"), name.Insecure)
	must(w.t, err)
	found, err := remote.Get(repository.Digest(p.Digest))
	must(w.t, err)
	image, err := found.Image()
	must(w.t, err)
	layers, err := image.Layers()
	must(w.t, err)
	digest, err := layers[0].Digest()
	must(w.t, err)
	return func() { must(w.t, remote.Tag(repository.Tag(tag), found)) }, digest.String()
}

// point makes a tag name a release.
func (w *world) point(p published, tag string) {
	w.t.Helper()
	point, _ := w.pointing(p, tag)
	point()
}

// failing is a Delivery whose registry answers one question wrongly.
type failing struct {
	*world
	faults   *stage.Faults
	fault    stage.Fault
	question stage.Question
	reason   string
	first    published
	second   published
}

// failures are all ways to fail at all questions, each for a Delivery and a registry of its own.
func failures(t *testing.T) []*failing {
	unavailable := []string{"RegistryUnavailable", "Unavailable", "RegistryUnavailable"}
	shared := onStage(t)
	var all []*failing
	for _, tt := range []struct {
		fault   stage.Fault
		reasons []string
	}{
		{stage.TooMany, unavailable},
		{stage.Broken, unavailable},
		{stage.HalfBody, unavailable},
		{stage.HangUp, unavailable},
		{stage.WrongBytes, []string{"NotFound", "Malformed", "ReleaseCorrupt"}},
	} {
		for i, question := range []stage.Question{stage.Tag, stage.Signature, stage.Layer} {
			name := fmt.Sprintf("registry-%s-%s", tt.fault, question)
			f := &failing{fault: tt.fault, question: question, reason: tt.reasons[i]}
			f.world = newWorldNamed(t, name, shared.ControlPlane, shared.Registry, shared.Git)
			f.faults = f.faulty()
			all = append(all, f)
		}
	}
	return all
}

// TestRegistryFails: whatever the registry does while a new release is looked for, verified or
// pulled, what runs is kept and healed, the condition says what is the matter, and all goes on
// by itself once the registry is well.
func TestRegistryFails(t *testing.T) {
	t.Parallel()
	onSync(t)
	all := failures(t)
	for _, f := range all {
		f.admit()
		f.bystanders()
		f.first = f.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/s.yaml": service("s")})
		f.point(f.first, "live")
		f.deliver(f.source("tag: live", ""))
	}
	for _, f := range all {
		f.equals(f.first)
		f.second = f.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/new.yaml": configMap("new", "x"), "deploy/s.yaml": ""})
		point, layer := f.pointing(f.second, "live")
		f.faults.Layer(layer)
		f.faults.Set(f.fault, f.question)
		point()
	}
	for _, f := range all {
		f.kept(f.first, "1", f.reason)
		if f.faults.Met() == 0 {
			t.Errorf("%s: the synchronizer never asked", f.name)
		}
		f.faults.Set("")
	}
	for _, f := range all {
		f.equals(f.second)
	}
}

// kept waits for a reason, and sees that the last release is there and healed meanwhile.
func (w *world) kept(last published, value, reason string) {
	w.t.Helper()
	w.refused(reason)
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
	w.until("the drift healed", func() bool { return w.value("a") == value })
	if got := w.status().Status.Applied.Digest; got != last.Digest {
		w.t.Errorf("what is applied is %s, want %s", got, last.Digest)
	}
}
