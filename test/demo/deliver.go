package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/test/stage"
	"sealift.dev/test/stage/keys"
)

//go:embed shop cluster.yaml
var files embed.FS

// publishShop puts the shop into Git and publishes its first commit.
func publishShop(ctx context.Context, p *player) (err error) {
	if p.ci, err = keys.New(p.dir, "cosign", "demo"); err != nil {
		return err
	}
	if p.stranger, err = keys.New(p.dir, "stranger", "demo"); err != nil {
		return err
	}
	if err := p.pushImage("1.0.0"); err != nil {
		return err
	}
	if err := p.createRepository(ctx); err != nil {
		return err
	}
	if _, err := p.run(ctx, "sealift", "publish", "--key", "../cosign.key", "--plain-http"); err != nil {
		return err
	}
	if _, err := p.publish(ctx); err != nil { // the same commit again
		return err
	}
	if _, err := p.run(ctx, "sealift", "verify", p.release()+":main", "--key", "../cosign.pub", "--plain-http"); err != nil {
		return err
	}
	p.pass("signed with the key of CI; publishing the commit again changed nothing")
	return nil
}

// createRepository makes the shop's bare repository on the Git server, and a clone.
func (p *player) createRepository(ctx context.Context) (err error) {
	if p.repository, err = p.stage.Git.Create("shop.git"); err != nil {
		return err
	}
	p.work = p.dir
	if _, err := p.run(ctx, "git", "clone", "--quiet", p.repository, "shop"); err != nil && !strings.Contains(err.Error(), "empty") {
		return err
	}
	p.work = filepath.Join(p.dir, "shop")
	content := map[string]string{}
	err = fs.WalkDir(files, "shop", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		content[strings.TrimPrefix(path, "shop/")] = p.filled(string(data))
		return err
	})
	if err != nil {
		return err
	}
	return p.commit(ctx, "Open the shop", content)
}

// filled puts this run's addresses and key into a file.
func (p *player) filled(text string) string {
	key := strings.ReplaceAll(strings.TrimSpace(p.ci.PublicPEM), "\n", "\n          ")
	return strings.NewReplacer("REGISTRY", p.host(), "GITURL", p.repository, "PUBLICKEY", key).Replace(text)
}

// commit commits files in the clone and pushes them.
func (p *player) commit(ctx context.Context, message string, content map[string]string) error {
	id, err := stage.Commit(p.work, message, content)
	if err != nil {
		return err
	}
	p.say("   $ git commit -m %q && git push     # commit %.7s", message, id)
	_, err = p.quiet(ctx, "git", "push", "--quiet", "origin", "HEAD:main")
	return err
}

// published is what `sealift publish -o json` prints.
type published struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Version   string `json:"version"`
	Sequence  int64  `json:"sequence"`
	Unchanged bool   `json:"unchanged"`
}

// publish publishes the clone's HEAD, shown as a person would see it.
func (p *player) publish(ctx context.Context) (published, error) {
	if _, err := p.run(ctx, "sealift", "publish", "--key", "../cosign.key", "--plain-http", "--quiet"); err != nil {
		return published{}, err
	}
	output, err := p.quiet(ctx, "sealift", "publish", "--key", "../cosign.key", "--plain-http", "-o", "json", "--quiet")
	if err != nil {
		return published{}, err
	}
	var result published
	if err := json.Unmarshal([]byte(output), &result); err != nil {
		return published{}, fmt.Errorf("reading %q: %w", output, err)
	}
	if !result.Unchanged {
		return published{}, fmt.Errorf("publishing a commit twice changed something: %s", output)
	}
	return result, nil
}

// pushImage puts an image of the shop into the registry. The nodes are played by
// kwok, so that its content does not matter.
func (p *player) pushImage(tag string) error {
	image, err := random.Image(256, 1)
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(p.host()+"/apps/shop:"+tag, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(reference, image)
}

// imageDigest is what a tag of the shop's image leads to.
func (p *player) imageDigest(tag string) (string, error) {
	reference, err := name.ParseReference(p.host()+"/apps/shop:"+tag, name.Insecure)
	if err != nil {
		return "", err
	}
	found, err := remote.Head(reference)
	if err != nil {
		return "", err
	}
	return found.Digest.String(), nil
}

// deliverShop installs the definitions, starts the synchronizer and waits until
// the shop is there.
func deliverShop(ctx context.Context, p *player) error {
	if _, err := p.run(ctx, "sealift", "install", "--components", "crds,rbac"); err != nil {
		return err
	}
	for _, binding := range [][]string{
		{"create", "clusterrolebinding", "demo-sealift", "--clusterrole=sealift-sync", "--user=sealift"},
		{"create", "rolebinding", "demo-sealift", "--role=sealift-sync", "--user=sealift", "-n", "sealift-system"},
	} {
		if _, err := p.quiet(ctx, "kubectl", binding...); err != nil {
			return err
		}
	}
	if err := p.startSync(); err != nil {
		return err
	}
	data, err := files.ReadFile("cluster.yaml")
	if err != nil {
		return err
	}
	manifest := filepath.Join(p.work, "..", "cluster.yaml")
	if err := os.WriteFile(manifest, []byte(p.filled(string(data))), 0o644); err != nil {
		return err
	}
	if _, err := p.run(ctx, "kubectl", "apply", "-f", "../cluster.yaml"); err != nil {
		return err
	}
	if _, err := p.run(ctx, "kubectl", "wait", "--for=condition=Ready", "delivery/shop", "-n", "shop", "--timeout=60s"); err != nil {
		return err
	}
	if _, err := p.run(ctx, "kubectl", "get", "deliveries,deployments,pods,services", "-n", "shop"); err != nil {
		return err
	}
	return p.running(ctx, "1.0.0", 3)
}
