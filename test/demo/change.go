package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// healDrift scales the Deployment by hand and watches how long that lasts.
func healDrift(ctx context.Context, p *player) error {
	client, err := kubernetes.NewForConfig(p.stage.AdminConfig())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	watch, err := client.AppsV1().Deployments("shop").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=shop"})
	if err != nil {
		return err
	}
	defer watch.Stop()
	if _, err := p.run(ctx, "kubectl", "scale", "deployment", "shop", "-n", "shop", "--replicas=7"); err != nil {
		return err
	}
	var scaled time.Time
	for event := range watch.ResultChan() {
		deployment, ok := event.Object.(*appsv1.Deployment)
		if !ok {
			return fmt.Errorf("watching the deployment: %v", event.Object)
		}
		switch replicas := *deployment.Spec.Replicas; {
		case replicas == 7 && scaled.IsZero():
			scaled = time.Now()
		case replicas == 3 && !scaled.IsZero():
			p.pass("3 replicas are wanted again %d ms after a watch showed 7", time.Since(scaled).Milliseconds())
			return p.explained(ctx)
		}
	}
	return fmt.Errorf("the drift was not healed: %w", ctx.Err())
}

// explained shows the Event that names the field and who changed it.
func (p *player) explained(ctx context.Context) error {
	return eventually(ctx, "the Event", func() (bool, error) {
		output, err := p.quiet(ctx, "kubectl", "get", "events.events.k8s.io", "-n", "shop", "--field-selector=reason=DriftCorrected", "-o", "jsonpath={.items[*].note}")
		if err != nil || !strings.Contains(output, "spec.replicas") {
			return false, err
		}
		p.say("     Event DriftCorrected: %s", output)
		return true, nil
	})
}

// bumpImage publishes a new image, lets the automator commit it, and delivers
// that commit.
func bumpImage(ctx context.Context, p *player) error {
	if err := p.pushImage("1.1.0"); err != nil {
		return err
	}
	p.say("   (the image %s/apps/shop:1.1.0 is pushed)", p.host())
	if _, err := p.automate(ctx); err != nil {
		return err
	}
	if _, err := p.run(ctx, "git", "pull", "--quiet", "origin", "main"); err != nil {
		return err
	}
	if _, err := p.run(ctx, "git", "show", "--format=%h %s", "--unified=0"); err != nil {
		return err
	}
	return p.rollOut(ctx, "1.1.0")
}

// revertBump undoes the automator's commit the way people do.
func revertBump(ctx context.Context, p *player) error {
	if _, err := p.run(ctx, "git", "revert", "--no-edit", "HEAD"); err != nil {
		return err
	}
	if _, err := p.run(ctx, "git", "push", "--quiet", "origin", "HEAD:main"); err != nil {
		return err
	}
	if err := p.rollOut(ctx, "1.0.0"); err != nil {
		return err
	}
	return p.respectRevert(ctx)
}

// respectRevert wants the automator to leave the branch as the person left it.
func (p *player) respectRevert(ctx context.Context) error {
	head, err := p.quiet(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	said, err := p.automate(ctx)
	if err != nil {
		return err
	}
	tip, err := p.quiet(ctx, "git", "ls-remote", p.repository, "refs/heads/main")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(tip, strings.TrimSpace(head)+"\t") || !strings.Contains(said, "above 1.0.0 up to 1.1.0: reverted by a person") {
		return fmt.Errorf("the automator does not respect the revert: main is %s, and it says %q", tip, said)
	}
	p.pass("the automator leaves it: 1.1.0 is held, and the next newer version will be taken")
	return nil
}

// automate makes one pass over the repository.
func (p *player) automate(ctx context.Context) (string, error) {
	return p.run(ctx, "sealift", "automate", "--repo", p.repository, "--branch", "main", "--plain-http")
}

// rollOut publishes HEAD and waits until it runs.
func (p *player) rollOut(ctx context.Context, tag string) error {
	release, err := p.publish(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	if err := p.delivered(ctx, release.Digest); err != nil {
		return err
	}
	p.pass("release %s (%.19s) is Ready %.1f s after it was published", release.Version, release.Digest, time.Since(started).Seconds())
	return p.running(ctx, tag, 3)
}

// delivered waits until the release with this digest is applied and healthy.
func (p *player) delivered(ctx context.Context, digest string) error {
	if _, err := p.quiet(ctx, "kubectl", "wait", "--for=jsonpath={.status.applied.digest}="+digest, "delivery/shop", "-n", "shop", "--timeout=60s"); err != nil {
		return err
	}
	_, err := p.quiet(ctx, "kubectl", "wait", "--for=condition=Ready", "delivery/shop", "-n", "shop", "--timeout=60s")
	return err
}

// running asserts which image the Deployment runs, with its digest, and that all
// replicas are available.
func (p *player) running(ctx context.Context, tag string, replicas int) error {
	digest, err := p.imageDigest(tag)
	if err != nil {
		return err
	}
	want := fmt.Sprintf("%s/apps/shop:%s@%s %d", p.host(), tag, digest, replicas)
	var got string
	err = eventually(ctx, "the deployment", func() (bool, error) {
		var err error
		got, err = p.quiet(ctx, "kubectl", "get", "deployment", "shop", "-n", "shop", "-o",
			"jsonpath={.spec.template.spec.containers[0].image} {.status.availableReplicas}")
		return got == want, err
	})
	if err != nil {
		return fmt.Errorf("%w: it is %q, not %q", err, got, want)
	}
	p.pass("apps/shop:%s@%.19s runs, %d of %d replicas available", tag, digest, replicas, replicas)
	return nil
}

func (p *player) file(path string) string {
	data, err := os.ReadFile(filepath.Join(p.work, filepath.FromSlash(path)))
	if err != nil {
		return ""
	}
	return string(data)
}
