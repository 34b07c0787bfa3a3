package stage_test

import (
	"os"
	"testing"
	"time"

	"sealift.dev/test/stage"
)

const deployment = `
apiVersion: v1
kind: Namespace
metadata: {name: three}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: three, namespace: three}
spec:
  replicas: 3
  selector: {matchLabels: {app: three}}
  template:
    metadata: {labels: {app: three}}
    spec: {containers: [{name: app, image: registry.example.com/app:1.0.0}]}
`

func TestDeploymentBecomesReady(t *testing.T) {
	s, err := stage.Start(t.Context(), stage.Options{Out: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()

	started := time.Now()
	if _, err := s.KubectlInput(t.Context(), deployment, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Kubectl(t.Context(), "-n", "three", "rollout", "status", "deployment/three", "--timeout=20s"); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %s", time.Since(started))
	if out, err := s.Kubectl(t.Context(), "get", "pods", "-A", "-o", "wide"); err != nil {
		t.Fatal(err)
	} else {
		t.Log(out)
	}
	started = time.Now()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped after %s", time.Since(started))
}
