// Package fleet measures what it costs to bring many releases into a cluster and to
// keep them there, beside a bare loop that sends the same objects.
package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer"
	"sealift.dev/test/stage"
)

const (
	namespace = "bench"
	// atOnce is how many requests one writer has in flight, the bare loop included.
	atOnce = 16
)

// fleet is a number of releases in a registry, each with the objects of an application.
type fleet struct {
	apps     []*app
	registry *artifact.Registry
	host     string
	signer   *signer.Signer
	public   string // the signer's key, PEM
}

// app is one application: its Delivery has its name.
type app struct {
	name    string
	objects []*unstructured.Unstructured
	// hopeless ones never become healthy.
	hopeless bool
	sequence int64
	digest   string // of the newest release
}

func newFleet(served *stage.Registry, apps []*app) (*fleet, error) {
	key, _, err := signer.Generate("ecdsa-p256", nil)
	if err != nil {
		return nil, err
	}
	f := &fleet{apps: apps, host: served.Host, registry: artifact.NewRegistry(artifact.Options{PlainHTTP: true})}
	f.public = string(key.Public())
	f.signer = signer.New(key, f.registry)
	return f, nil
}

// applications are n of four objects each; the first hopeless of them never become healthy.
func applications(n, hopeless int) ([]*app, error) {
	var apps []*app
	for i := range n {
		a := &app{name: fmt.Sprintf("app-%04d", i), hopeless: i < hopeless}
		if err := a.add(documents(a.name, a.hopeless)...); err != nil {
			return nil, err
		}
		apps = append(apps, a)
	}
	return apps, nil
}

// large is one application of n objects.
func large(n int) ([]*app, error) {
	a := &app{name: "large"}
	for i := range n / 4 {
		if err := a.add(documents(fmt.Sprintf("part-%04d", i), false)...); err != nil {
			return nil, err
		}
	}
	return []*app{a}, nil
}

func (a *app) add(documents ...string) error {
	for _, d := range documents {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(d), &o.Object); err != nil {
			return fmt.Errorf("object of %s: %w", a.name, err)
		}
		a.objects = append(a.objects, o)
	}
	return nil
}

// documents are a Deployment scaled to zero, a Service, a ServiceAccount and an Ingress.
func documents(name string, hopeless bool) []string {
	replicas, selector := 0, ""
	if hopeless {
		replicas, selector = 1, "\n      nodeSelector: {example.com/place: nowhere}"
	}
	head := func(version, kind string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  namespace: %s\n  labels: {app: %[3]s}\n", version, kind, name, namespace)
	}
	return []string{
		head("apps/v1", "Deployment") + fmt.Sprintf(`spec:
  replicas: %d
  selector: {matchLabels: {app: %s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      serviceAccountName: %[2]s%s
      containers:
        - name: web
          image: registry.example.com/web:1.0.0
          args: [--listen=:8080, --log-level=info]
          env: [{name: GREETING, value: hello}]
          ports: [{name: http, containerPort: 8080}, {name: admin, containerPort: 9090}]
          readinessProbe: {httpGet: {path: /ready, port: http}}
          resources: {requests: {cpu: 10m, memory: 32Mi}}
          volumeMounts: [{name: scratch, mountPath: /scratch}]
      volumes: [{name: scratch, emptyDir: {}}]
`, replicas, name, selector),
		head("v1", "Service") + fmt.Sprintf("spec:\n  selector: {app: %s}\n  ports: [{name: http, port: 80, targetPort: http}, {name: admin, port: 90, targetPort: admin}]\n", name),
		head("v1", "ServiceAccount"),
		head("networking.k8s.io/v1", "Ingress") + fmt.Sprintf("spec:\n  rules: [{host: %[1]s.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[1]s, port: {number: 80}}}}]}}]\n", name),
	}
}

// change gives each application's first Deployment another value.
func (f *fleet) change(value string) error {
	for _, a := range f.apps {
		for _, o := range a.objects {
			if o.GetKind() != "Deployment" {
				continue
			}
			containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			if err != nil {
				return err
			}
			containers[0].(map[string]any)["env"] = []any{map[string]any{"name": "GREETING", "value": value}}
			if err := unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers"); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// publish packs, pushes, signs and tags a release of every application.
func (f *fleet) publish(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, a := range f.apps {
		group.Go(func() error {
			if err := f.release(ctx, a); err != nil {
				return fmt.Errorf("publishing %s: %w", a.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (f *fleet) release(ctx context.Context, a *app) error {
	repository, err := artifact.ParseRepository(f.address(a))
	if err != nil {
		return err
	}
	a.sequence++
	statement := artifact.Statement{
		Source: "https://git.example.com/deploy", Revision: fmt.Sprintf("main@sha1:%040x", a.sequence), Version: fmt.Sprintf("0.0.%d", a.sequence),
		Created: time.Unix(1_700_000_000, 0).UTC(), Repository: repository.String(), Epoch: 1, Sequence: a.sequence, Ref: "refs/heads/main",
	}
	packed, err := artifact.Pack(statement, map[string][]*unstructured.Unstructured{"prod": a.objects})
	if err != nil {
		return err
	}
	ref, _, err := f.registry.Push(ctx, repository, packed)
	if err != nil {
		return err
	}
	if _, err := f.signer.Sign(ctx, ref); err != nil {
		return err
	}
	a.digest = ref.Digest.String()
	return f.registry.Tag(ctx, ref, "main")
}

func (f *fleet) address(a *app) string { return "oci://" + f.host + "/deploy/" + a.name }

// delivery is the custom resource of an application.
func (f *fleet) delivery(a *app) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "sealift.dev/v1alpha1", "kind": "Delivery",
		"metadata": map[string]any{"name": a.name, "namespace": namespace},
		"spec": map[string]any{
			"source":             map[string]any{"url": f.address(a), "tag": "main", "insecure": true},
			"environment":        "prod",
			"serviceAccountName": "deployer",
			"interval":           "30s",
			"timeout":            "1h",
			"trust": map[string]any{"authorities": []any{map[string]any{
				"name": "ci", "key": map[string]any{"data": strings.TrimSpace(f.public)},
			}}},
		},
	}}
}
