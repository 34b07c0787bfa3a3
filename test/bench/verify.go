package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// verification is how many verdicts a process gives one after the other.
type verification struct {
	Signature string  `json:"signature"`
	Cold      float64 `json:"coldPerSecond"`   // everything read from the registry, nothing remembered
	Cached    float64 `json:"cachedPerSecond"` // the verdict is remembered
}

const subject = "https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main"

func (w *workshop) measureVerify(ctx context.Context, runs int) ([]verification, error) {
	if err := w.registry.empty(); err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(w.dir, "ci.pub"))
	if err != nil {
		return nil, err
	}
	token, err := w.sigstore.Token(ctx, "github", map[string]any{"sha": w.commit, "workflow_sha": w.commit})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "token"), []byte(token), 0o600); err != nil {
		return nil, err
	}
	var all []verification
	for _, c := range []struct {
		name      string
		publish   []string
		authority map[string]any
	}{
		{"key (ECDSA P-256)", []string{"--key", "ci.key"}, map[string]any{"key": map[string]any{"data": string(key)}}},
		{"keyless", []string{"--identity-token", "token", "--signing-config", w.sigstore.SigningConfig, "--trusted-root", w.sigstore.TrustedRoot},
			map[string]any{"keyless": map[string]any{"issuer": w.sigstore.Issuers["github"], "subject": subject}}},
	} {
		repository := fmt.Sprintf("verify/%d", len(all))
		if _, err := w.measure(ctx, w.sealift, w.publishArgs(repository, c.publish...)...); err != nil {
			return nil, err
		}
		v, err := w.verdicts(ctx, repository, c.authority, runs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		v.Signature = c.name
		all = append(all, v)
	}
	return all, nil
}

// verdicts verifies the release in repository again and again.
func (w *workshop) verdicts(ctx context.Context, repository string, authority map[string]any, runs int) (v verification, err error) {
	registry := artifact.NewRegistry(artifact.Options{PlainHTTP: true})
	at, err := artifact.ParseRepository("oci://" + w.registry.host + "/" + repository)
	if err != nil {
		return v, err
	}
	ref, err := registry.Resolve(ctx, at, "main")
	if err != nil {
		return v, err
	}
	policies, err := policyOf(authority)
	if err != nil {
		return v, err
	}
	root, err := os.ReadFile(w.sigstore.TrustedRoot)
	if err != nil {
		return v, err
	}
	const none = -1
	for remembered, rate := range map[int]*float64{none: &v.Cold, 0: &v.Cached} {
		verifier, err := verify.New(verify.Options{TrustedRoot: root, Verdicts: remembered})
		if err != nil {
			return v, err
		}
		*rate, err = perSecond(runs, func() error {
			_, err := verifier.Release(ctx, registry, ref, policies, verify.Claim{})
			return err
		})
		if err != nil {
			return v, err
		}
	}
	return v, nil
}

// policyOf is a policy with one authority, without its name.
func policyOf(authority map[string]any) ([]policy.Named, error) {
	authority["name"] = "ci"
	document, err := json.Marshal(map[string]any{
		"apiVersion": "sealift.dev/v1alpha1", "kind": "TrustPolicy", "metadata": map[string]any{"name": "bench"},
		"spec": map[string]any{"authorities": []any{authority}},
	})
	if err != nil {
		return nil, err
	}
	return policy.Parse(document)
}

// perSecond is the median of runs of half a second each, after a first call that does not count.
func perSecond(runs int, call func() error) (float64, error) {
	if err := call(); err != nil {
		return 0, err
	}
	var rates []float64
	for range runs {
		started, calls := time.Now(), 0
		for time.Since(started) < 500*time.Millisecond {
			if err := call(); err != nil {
				return 0, err
			}
			calls++
		}
		rates = append(rates, float64(calls)/time.Since(started).Seconds())
	}
	return median(rates), nil
}
