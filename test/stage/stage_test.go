package stage_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

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

func TestStage(t *testing.T) {
	s, err := stage.Start(t.Context(), stage.Options{Out: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })

	t.Run("a Deployment of three becomes Ready", func(t *testing.T) { deploymentOfThree(t, s) })
	t.Run("sealift has no rights until it is given some", func(t *testing.T) { sealiftUser(t, s) })

	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir); err == nil {
		t.Errorf("the temporary folder %s is there after Stop", s.Dir)
	}
	if _, err := s.Kubectl(t.Context(), "get", "--raw=/livez"); err == nil {
		t.Error("the API server answers after Stop")
	}
	if err := s.Stop(); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
}

func deploymentOfThree(t *testing.T, s *stage.Stage) {
	started := time.Now()
	if _, err := s.KubectlInput(t.Context(), deployment, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Kubectl(t.Context(), "-n", "three", "rollout", "status", "deployment/three", "--timeout=60s"); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %s", time.Since(started))
	phases, err := s.Kubectl(t.Context(), "-n", "three", "get", "pods", "-o", "jsonpath={.items[*].status.phase}")
	if err != nil || phases != "Running Running Running" {
		t.Errorf("pods are %q, %v", phases, err)
	}
}

func sealiftUser(t *testing.T, s *stage.Stage) {
	client, err := dynamic.NewForConfig(s.SealiftConfig())
	if err != nil {
		t.Fatal(err)
	}
	maps := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("kube-system")
	if _, err := maps.List(t.Context(), metav1.ListOptions{}); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Fatalf("listing without rights: %v, want forbidden", err)
	}
	for _, args := range [][]string{
		{"create", "clusterrole", "reader", "--verb=list", "--resource=configmaps"},
		{"create", "clusterrolebinding", "reader", "--clusterrole=reader", "--user=sealift"},
	} {
		if _, err := s.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // RBAC is cached
		if _, err = maps.List(t.Context(), metav1.ListOptions{}); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Fatalf("listing with rights: %v", err)
	}
	recorded(t, s)
}

// recorded expects both answers in the API server's record, and nothing of other users.
func recorded(t *testing.T, s *stage.Stage) {
	t.Helper()
	requests, err := s.Requests()
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{200, 403} {
		if !slices.ContainsFunc(requests, func(r stage.Request) bool {
			return r.Verb == "list" && r.ResponseStatus.Code == code && strings.HasPrefix(r.URI, "/api/v1/namespaces/kube-system/configmaps")
		}) {
			t.Errorf("no list with answer %d is among %d requests", code, len(requests))
		}
	}
	if i := slices.IndexFunc(requests, func(r stage.Request) bool { return r.Verb != "list" }); i >= 0 {
		t.Errorf("the record has a request of somebody else: %+v", requests[i])
	}
}
