package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/test/stage"
)

// refuseUnsigned moves the tag to a copy of the release that nobody signed.
func refuseUnsigned(ctx context.Context, p *player) error {
	reference, err := name.ParseReference(p.host()+"/deploy/shop:main", name.Insecure)
	if err != nil {
		return err
	}
	image, err := remote.Image(reference)
	if err != nil {
		return err
	}
	changed := mutate.Annotations(image, map[string]string{"org.opencontainers.image.version": "6.6.6"}).(v1.Image)
	p.say("   (a copy of the release with another annotation, unsigned, is pushed to the tag main)")
	if err := remote.Write(reference, changed); err != nil {
		return err
	}
	return p.refused(ctx, "NotSigned")
}

// refuseStranger publishes a commit of a clone that CI never saw, with a key of
// the stranger's own.
func refuseStranger(ctx context.Context, p *player) error {
	clone := filepath.Join(p.dir, "clone")
	if _, err := p.quiet(ctx, "git", "clone", "--quiet", p.repository, clone); err != nil {
		return err
	}
	if _, err := stage.Commit(clone, "Open a back door", map[string]string{"deploy/base/door.txt": "open\n"}); err != nil {
		return err
	}
	p.say("   (the stranger clones the shop, and commits \"Open a back door\")")
	shop := p.work
	p.work = clone
	_, err := p.run(ctx, "sealift", "publish", "--key", "../stranger.key", "--plain-http", "--version", "6.6.6", "--quiet")
	p.work = shop
	if err != nil {
		return err
	}
	return p.refused(ctx, "Untrusted")
}

// refuseFlippedBit damages a published layer in the registry's storage, and
// mends it again.
func refuseFlippedBit(ctx context.Context, p *player) error {
	if _, err := p.quiet(ctx, "kubectl", "patch", "delivery", "shop", "-n", "shop", "--type=merge", `--patch={"spec":{"suspend":true}}`); err != nil {
		return err
	}
	p.say("   (the Delivery is suspended, so that the layer is damaged before it is read)")
	greeting := strings.Replace(p.file("deploy/base/config.yaml"), "Welcome to the shop", "Welcome back", 1)
	if err := p.commit(ctx, "Greet people who come back", map[string]string{"deploy/base/config.yaml": greeting}); err != nil {
		return err
	}
	release, err := p.publish(ctx)
	if err != nil {
		return err
	}
	layer, err := p.layer(release.Digest)
	if err != nil {
		return err
	}
	if err := p.stage.Registry.Corrupt(layer); err != nil {
		return err
	}
	p.say("   (one bit of %.19s is flipped in the registry's storage, and the Delivery resumed)", layer)
	if _, err := p.quiet(ctx, "kubectl", "patch", "delivery", "shop", "-n", "shop", "--type=merge", `--patch={"spec":{"suspend":false}}`); err != nil {
		return err
	}
	if err := p.refused(ctx, "ReleaseCorrupt"); err != nil {
		return err
	}
	if err := p.stage.Registry.Corrupt(layer); err != nil {
		return err
	}
	p.say("   (the bit is flipped back)")
	if err := p.delivered(ctx, release.Digest); err != nil {
		return err
	}
	data, err := p.quiet(ctx, "kubectl", "get", "configmap", "shop", "-n", "shop", "-o", "jsonpath={.data.greeting}")
	if err != nil || data != "Welcome back" {
		return fmt.Errorf("the greeting is %q, %v", data, err)
	}
	p.pass("the same release, intact, is delivered")
	return nil
}

// layer is the digest of a release's layer.
func (p *player) layer(digest string) (string, error) {
	reference, err := name.NewDigest(p.host()+"/deploy/shop@"+digest, name.Insecure)
	if err != nil {
		return "", err
	}
	image, err := remote.Image(reference)
	if err != nil {
		return "", err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return "", err
	}
	return manifest.Layers[0].Digest.String(), nil
}

// refused waits until the Delivery says why it refuses what the tag names, and
// checks that the old version still runs.
func (p *player) refused(ctx context.Context, reason string) error {
	var last condition
	err := eventually(ctx, "the refusal "+reason, func() (bool, error) {
		var err error
		last, err = p.ready(ctx)
		return last.Status == "False" && last.Reason == reason, err
	})
	if err != nil {
		return fmt.Errorf("%w; the condition is %+v", err, last)
	}
	const path = `jsonpath={range .status.conditions[?(@.type=="Ready")]}{.reason}: {.message}{end}`
	p.say("   $ kubectl get delivery shop -n shop -o '%s'", path)
	told, err := p.quiet(ctx, "kubectl", "get", "delivery", "shop", "-n", "shop", "-o", path)
	if err != nil || !strings.HasPrefix(told, reason+": ") {
		return fmt.Errorf("the condition says %q, not %s: %v", told, reason, err)
	}
	for _, line := range wrapped(told, 92) {
		p.say("     %s", line)
	}
	return p.running(ctx, "1.0.0", 3)
}

type condition struct {
	Type, Status, Reason, Message string
}

// ready is the Delivery's Ready condition.
func (p *player) ready(ctx context.Context) (condition, error) {
	output, err := p.quiet(ctx, "kubectl", "get", "delivery", "shop", "-n", "shop", "-o", "json")
	if err != nil {
		return condition{}, err
	}
	var delivery struct {
		Status struct{ Conditions []condition }
	}
	if err := json.Unmarshal([]byte(output), &delivery); err != nil {
		return condition{}, err
	}
	for _, c := range delivery.Status.Conditions {
		if c.Type == "Ready" {
			return c, nil
		}
	}
	return condition{}, nil
}

// wrapped breaks text at spaces.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+len(word) >= width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
