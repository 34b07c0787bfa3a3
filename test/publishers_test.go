package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
	"sealift.dev/test/stage/keys"
)

// press is a Git repository, distribution's registry, and a key to publish with.
type press struct {
	t       *testing.T
	sealift string
	dir     string
	host    string
	key     keys.Pair
}

func newPress(t *testing.T) *press {
	t.Helper()
	bin, err := parts.Ensure(t.Context(), os.Stderr, "registry")
	must(t, err)
	registry, err := stage.StartDistribution(t.Context(), bin, t.TempDir(), stage.DistributionOptions{})
	must(t, err)
	t.Cleanup(registry.Stop)
	p := &press{t: t, dir: filepath.Join(t.TempDir(), "shop"), host: registry.Host}
	p.sealift, err = binary()
	must(t, err)
	p.key, err = keys.New(t.TempDir(), "ci", "secret")
	must(t, err)
	must(t, os.MkdirAll(p.dir, 0o755))
	_, err = run(p.dir, nil, "git", "init", "-q", "-b", "main")
	must(t, err)
	return p
}

func (p *press) commit(text string) string {
	p.t.Helper()
	id, err := stage.Commit(p.dir, text, map[string]string{"prod/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {text: " + text + "}\n"})
	must(p.t, err)
	return id
}

func (p *press) environ() []string { return []string{"COSIGN_PASSWORD=secret", "HOME=" + p.dir} }

// args publish a commit.
func (p *press) args(commit string) []string {
	return []string{"publish", "--key", p.key.Private, "--to", "oci://" + p.host + "/deploy/shop", "--environment", "prod=prod",
		"--rev", commit, "--ref", "refs/heads/main", "--source", "https://git.example.com/shop", "--plain-http", "-o", "json", "--quiet"}
}

// publish gives the digest of what was published.
func (p *press) publish(commit string) (string, error) {
	out, err := run(p.dir, p.environ(), p.sealift, p.args(commit)...)
	if err != nil {
		return "", err
	}
	var r struct{ Digest string }
	return r.Digest, json.Unmarshal([]byte(out), &r)
}

// at is the digest of the release at a tag, verified; empty if there is none.
func (p *press) at(tag string) (string, error) {
	out, err := run(p.dir, p.environ(), p.sealift, "verify", "oci://"+p.host+"/deploy/shop:"+tag, "--key", p.key.Public, "--plain-http", "-o", "json")
	if err != nil && exitCode(err) != 3 {
		return "", nil // not there
	}
	if err != nil {
		return "", err
	}
	var r struct{ Digest string }
	return r.Digest, json.Unmarshal([]byte(out), &r)
}

// TestPublishersRace starts publishers of three commits at once, several times.
func TestPublishersRace(t *testing.T) {
	p := newPress(t)
	for round := range 3 {
		var commits []string
		for i := range 3 {
			commits = append(commits, p.commit(fmt.Sprintf("r%d-%d", round, i)))
		}
		digests, errs := make([]string, len(commits)), make([]error, len(commits))
		var all sync.WaitGroup
		for i, commit := range commits {
			all.Go(func() { digests[i], errs[i] = p.publish(commit) })
		}
		all.Wait()
		for _, err := range errs {
			must(t, err)
		}
		at, err := p.at("main")
		must(t, err)
		if newest := digests[len(digests)-1]; at != newest {
			t.Fatalf("round %d: main is at %s, and the newest is %s of %v", round, at, newest, digests)
		}
	}
}

// TestKilledPublisher kills publishers later and later. What a tag leads to is signed,
// and the next publisher finishes the work.
func TestKilledPublisher(t *testing.T) {
	p := newPress(t)
	for round := 1; ; round++ {
		commit := p.commit(fmt.Sprintf("k%d", round))
		ctx, kill := context.WithTimeout(t.Context(), time.Duration(round*round)*5*time.Millisecond)
		_, killed := runIn(ctx, p.dir, p.environ(), p.sealift, p.args(commit)...) // by a signal that nobody can handle
		kill()
		if _, err := p.at("main"); err != nil {
			t.Fatalf("killed in round %d, and main leads to something unsigned: %v", round, err)
		}
		digest, err := p.publish(commit)
		must(t, err)
		for _, tag := range []string{"main", fmt.Sprintf("0.0.%d", round)} {
			if at, err := p.at(tag); err != nil || at != digest {
				t.Fatalf("round %d: %s is at %q, not %s: %v", round, tag, at, digest, err)
			}
		}
		if killed == nil {
			if round < 3 {
				t.Errorf("nobody was killed but in %d rounds", round-1)
			}
			return
		}
	}
}
