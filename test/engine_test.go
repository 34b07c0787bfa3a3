package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"sealift.dev/synchronizer/engine"
)

// rig is one engine process on the stage, with a namespace of its own.
type rig struct {
	t         *testing.T
	ctx       context.Context
	engine    *engine.Engine
	cluster   dynamic.Interface
	namespace string
	target    engine.Target
	news      chan struct{}
	requests  *counter
	outage    *outage
	told      atomic.Int64 // how often the owner was told of news
	deaf      atomic.Bool  // watches of ConfigMaps show nothing any more
	stop      context.CancelFunc
}

// counter counts requests that are not watches.
type counter struct {
	mu   sync.Mutex
	sent []string
}

func (c *counter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Get("watch") == "" {
			c.mu.Lock()
			c.sent = append(c.sent, r.Method+" "+r.URL.RequestURI())
			c.mu.Unlock()
		}
		return next.RoundTrip(r)
	})
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

// outage fails reading the resource that it names, as a dead conversion webhook does.
type outage struct{ resource atomic.Value }

func (o *outage) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if down, _ := o.resource.Load().(string); down == "" || r.Method != http.MethodGet || path.Base(r.URL.Path) != down {
			return next.RoundTrip(r)
		}
		return &http.Response{StatusCode: http.StatusInternalServerError, Header: http.Header{}, Request: r,
			Body: io.NopCloser(strings.NewReader("conversion webhook failed"))}, nil
	})
}

// deafen has the watches of ConfigMaps miss what happens while r is deaf.
func (r *rig) deafen(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(q *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(q)
		if err == nil && q.URL.Query().Get("watch") != "" && path.Base(q.URL.Path) == "configmaps" {
			answer.Body = &missing{ReadCloser: answer.Body, deaf: &r.deaf}
		}
		return answer, err
	})
}

// missing reads nothing of what comes while it is deaf.
type missing struct {
	io.ReadCloser
	deaf *atomic.Bool
}

func (m *missing) Read(p []byte) (int, error) {
	for {
		n, err := m.ReadCloser.Read(p)
		if !m.deaf.Load() || err != nil {
			return n, err
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newRig(t *testing.T, namespace string) *rig {
	t.Helper()
	s := onStage(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*inTime)
	t.Cleanup(cancel)
	cluster, err := dynamic.NewForConfig(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, ctx: ctx, cluster: cluster, namespace: namespace, outage: &outage{}}
	ns := object(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+"}")
	if _, err := cluster.Resource(core("namespaces")).Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.target = engine.Target{Owner: engine.OwnerOf(namespace, "app"), Namespace: namespace, Prune: true, Correct: true}
	r.start(s.AdminConfig())
	return r
}

// start begins a process's life; what an earlier one knew is lost.
func (r *rig) start(config *rest.Config) {
	r.t.Helper()
	r.requests = &counter{}
	config.Wrap(r.requests.wrap)
	config.Wrap(r.outage.wrap)
	config.Wrap(r.deafen)
	news := make(chan struct{}, 1)
	e, err := engine.New(config, func(o engine.Owner) {
		if o == r.target.Owner {
			r.told.Add(1)
			select {
			case news <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(r.ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	r.engine, r.news = e, news
	r.stop = func() { stop(); <-done }
	r.t.Cleanup(r.stop)
}

func (r *rig) restart() {
	r.stop()
	r.start(onStage(r.t).AdminConfig())
}

func (r *rig) want(documents ...string) {
	r.t.Helper()
	var objects []*unstructured.Unstructured
	for _, d := range documents {
		objects = append(objects, object(r.t, d))
	}
	set, err := engine.NewSet(objects)
	if err != nil {
		r.t.Fatal(err)
	}
	r.target.Objects = set
}

func (r *rig) plan() *engine.Plan {
	r.t.Helper()
	p, err := r.engine.Plan(r.ctx, r.target)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// deliver is one whole pass but for health.
func (r *rig) deliver() engine.Report {
	r.t.Helper()
	p := r.plan()
	r.target.Kinds = p.Kinds()
	if err := r.engine.Preflight(r.ctx, p); err != nil {
		r.t.Fatal(err)
	}
	report, err := r.engine.Apply(r.ctx, p)
	if err != nil {
		r.t.Fatal(err)
	}
	pruned, err := r.engine.Prune(r.ctx, p)
	if err != nil {
		r.t.Fatal(err)
	}
	report.Pruned, report.Kept, report.Pending = pruned.Pruned, pruned.Kept, pruned.Pending
	return report
}

// settle waits until a plan has nothing to do and nothing is news.
func (r *rig) settle() {
	r.t.Helper()
	r.eventually(func() bool { return !r.plan().Changed() && len(r.actions(engine.Drifted, engine.Contested)) == 0 })
	time.Sleep(300 * time.Millisecond)
	select {
	case <-r.news:
	default:
	}
}

func (r *rig) actions(want ...engine.Action) []*engine.Step {
	var out []*engine.Step
	for _, s := range r.plan().Steps {
		if slices.Contains(want, s.Action) {
			out = append(out, s)
		}
	}
	return out
}

func (r *rig) eventually(holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	r.t.Fatal("it does not come true")
}

func (r *rig) hears() bool {
	select {
	case <-r.news:
		return true
	case <-time.After(2 * time.Second):
		return false
	}
}

func (r *rig) patch(resource schema.GroupVersionResource, name string, kind types.PatchType, content, manager string, sub ...string) {
	r.t.Helper()
	options := metav1.PatchOptions{FieldManager: manager}
	if kind == types.ApplyPatchType {
		force := true
		options.Force = &force
	}
	if _, err := r.cluster.Resource(resource).Namespace(r.namespace).Patch(r.ctx, name, kind, []byte(content), options, sub...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) exists(resource schema.GroupVersionResource, name string) bool {
	r.t.Helper()
	_, err := r.cluster.Resource(resource).Namespace(r.namespace).Get(r.ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		r.t.Fatal(err)
	}
	return err == nil
}

func object(t *testing.T, document string) *unstructured.Unstructured {
	t.Helper()
	content := map[string]any{}
	if err := yaml.Unmarshal([]byte(document), &content); err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}

func core(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}

func deployments() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {a: "1"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{key: k, operator: Exists}]
      containers:
      - {name: c, image: "nginx:1", args: [a, b], env: [{name: X, value: "1"}]}
`

func dataMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}", name, value)
}

// TestEngineDrift changes a healthy Deployment in every way that is drift, and
// in one that is not, and measures how fast each is healed.
func TestEngineDrift(t *testing.T) {
	r := newRig(t, "engine-drift")
	r.want(web)
	r.deliver()
	r.settle()
	for _, test := range []struct {
		name, names string
		change      func()
	}{
		{"scale subresource", ".spec.replicas by kubectl (scale)", func() {
			r.patch(deployments(), "web", types.MergePatchType, `{"spec":{"replicas":3}}`, "kubectl", "scale")
		}},
		{"strategic patch", `.spec.template.spec.containers[name="c"].image by editor`, func() {
			r.patch(deployments(), "web", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"nginx:2"}]}}}}`, "editor")
		}},
		{"json patch", `.env[name="X"]`, func() {
			r.patch(deployments(), "web", types.JSONPatchType, `[{"op":"remove","path":"/spec/template/spec/containers/0/env"}]`, "remover")
		}},
		{"merge patch of an atomic list", ".spec.template.spec.tolerations", func() {
			r.patch(deployments(), "web", types.MergePatchType, `{"spec":{"template":{"spec":{"tolerations":[]}}}}`, "emptier")
		}},
		{"atomic list", `.spec.template.spec.containers[name="c"].args by arguer`, func() {
			r.patch(deployments(), "web", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"c","args":["z"]}]}}}}`, "arguer")
		}},
		{"forced apply", ".metadata.annotations.a by other", func() {
			r.patch(deployments(), "web", types.ApplyPatchType, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","annotations":{"a":"2"}}}`, "other")
		}},
		{"wiped managedFields", "wiped", func() {
			r.patch(deployments(), "web", types.MergePatchType, `{"metadata":{"managedFields":[{}]}}`, "wiper")
		}},
		{"label removed", "unlabelled", func() {
			r.patch(deployments(), "web", types.JSONPatchType, `[{"op":"remove","path":"/metadata/labels"}]`, "unlabeller")
		}},
		{"deleted", "deleted", func() {
			if err := r.cluster.Resource(deployments()).Namespace(r.namespace).Delete(r.ctx, "web", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.restart() // so that many heals in a row are not taken for a fight
			r.deliver()
			r.settle()
			test.change()
			if !r.hears() {
				t.Fatal("no news of the drift")
			}
			report := engine.Report{}
			r.eventually(func() bool { report = r.deliver(); return len(report.Healed) > 0 })
			healed := report.Healed[0]
			t.Logf("healed after %s: %s", healed.Latency, healed.Drift.String())
			if !strings.Contains(healed.Drift.String(), test.names) {
				t.Errorf("drift is %q, not %q", healed.Drift.String(), test.names)
			}
			if healed.Latency <= 0 || healed.Latency > 5*time.Second {
				t.Errorf("latency is %s", healed.Latency)
			}
			r.settle()
			live, err := r.cluster.Resource(deployments()).Namespace(r.namespace).Get(r.ctx, "web", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			replicas, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
			if replicas != 0 || live.GetAnnotations()["a"] != "1" || live.GetLabels()[engine.OwnerLabel] == "" {
				t.Errorf("after the heal: %d replicas, annotations %v, labels %v", replicas, live.GetAnnotations(), live.GetLabels())
			}
		})
	}
	t.Run("a foreign field is no drift", func(t *testing.T) {
		r.patch(deployments(), "web", types.MergePatchType, `{"metadata":{"annotations":{"foreign":"1"}}}`, "foreigner")
		time.Sleep(time.Second)
		if p := r.plan(); p.Changed() {
			t.Errorf("the plan has %v %s", p.Steps[0].Action, p.Steps[0].Reason)
		}
	})
	t.Run("someone applies in our name", func(t *testing.T) {
		time.Sleep(1100 * time.Millisecond) // the record's clock counts seconds
		r.patch(deployments(), "web", types.ApplyPatchType,
			strings.Replace(r.body(web), "nginx:1", "nginx:9", 1), engine.FieldManager)
		r.eventually(func() bool { return len(r.actions(engine.Heal)) == 1 })
	})
}

// body is a document as the engine sends it.
func (r *rig) body(document string) string {
	o := object(r.t, document)
	o.SetLabels(map[string]string{engine.OwnerLabel: string(r.target.Owner)})
	o.SetNamespace(r.namespace)
	content, err := o.MarshalJSON()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content)
}

// TestEngineReportsDrift leaves drift alone when it is not to be corrected.
func TestEngineReportsDrift(t *testing.T) {
	r := newRig(t, "engine-report")
	r.target.Correct = false
	r.want(web)
	r.deliver()
	r.settle()
	r.patch(deployments(), "web", types.MergePatchType, `{"spec":{"replicas":2}}`, "kubectl", "scale")
	r.eventually(func() bool { return len(r.actions(engine.Drifted)) == 1 })
	if p := r.plan(); p.Changed() {
		t.Errorf("the plan would write: %v", p.Steps[0])
	}
	r.target.Settled = true
	r.restart() // what a process finds at its start is drift as well
	p := r.plan()
	if err := r.engine.Preflight(r.ctx, p); err != nil {
		t.Fatal(err)
	}
	if s := p.Steps[0]; p.Changed() || s.Action != engine.Drifted || !strings.Contains(s.Reason, ".spec.replicas by kubectl") {
		t.Errorf("after a restart: %s %s", s.Action, s.Reason)
	}
}

// TestEngineIsQuiet counts the requests of a steady state, and of a change to
// one object of three.
func TestEngineIsQuiet(t *testing.T) {
	r := newRig(t, "engine-quiet")
	r.want(web, dataMap("one", "1"), dataMap("two", "1"))
	r.deliver()
	r.eventually(func() bool {
		h, err := r.engine.Health(r.ctx, r.target)
		return err == nil && h.Ready == 3
	})
	r.settle()
	r.requests.take()
	for range 10 {
		r.deliver()
		if h, err := r.engine.Health(r.ctx, r.target); err != nil || h.Ready != 3 {
			t.Fatal(h, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if sent := r.requests.take(); len(sent) > 0 {
		t.Errorf("idle passes sent %q", sent)
	}
	r.want(web, dataMap("one", "2"), dataMap("two", "1"))
	report := r.deliver()
	if sent := r.requests.take(); len(sent) != 2 || len(report.Updated) != 1 {
		t.Errorf("a change of one object sent %q and updated %v", sent, report.Updated)
	}
}

// TestEnginePrune removes what left the set, and nothing else.
func TestEnginePrune(t *testing.T) {
	r := newRig(t, "engine-prune")
	kept := strings.Replace(dataMap("kept", "1"), "name: kept", "name: kept, annotations: {sealift.dev/prune: Disabled}", 1)
	r.want(dataMap("one", "1"), dataMap("two", "1"), kept)
	r.deliver()
	copied := object(t, dataMap("copy", "1"))
	copied.SetLabels(map[string]string{engine.OwnerLabel: string(r.target.Owner)})
	if _, err := r.cluster.Resource(core("configmaps")).Namespace(r.namespace).Create(r.ctx, copied, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.want()
	if report := r.deliver(); len(report.Pruned) != 0 || len(report.Kept) != 3 {
		t.Errorf("an empty set prunes %v and keeps %v", report.Pruned, report.Kept)
	}
	r.want(dataMap("one", "1"))
	r.restart() // a new process knows the inventory's kinds, and finds the rest
	report := r.deliver()
	if len(report.Pruned) != 1 || report.Pruned[0].Name != "two" || len(report.Kept) != 1 || report.Kept[0].Name != "kept" {
		t.Errorf("pruned %v, kept %v", report.Pruned, report.Kept)
	}
	if r.exists(core("configmaps"), "two") || !r.exists(core("configmaps"), "copy") || !r.exists(core("configmaps"), "kept") {
		t.Error("the wrong objects are gone")
	}
	deleted, err := r.engine.DeleteAll(r.ctx, r.target)
	if err != nil || len(deleted.Pruned) != 1 {
		t.Errorf("deleting all pruned %v: %v", deleted.Pruned, err)
	}
	r.eventually(func() bool {
		deleted, err := r.engine.DeleteAll(r.ctx, r.target)
		return err == nil && len(deleted.Pending) == 0
	})
	if !r.exists(core("configmaps"), "kept") || r.exists(core("configmaps"), "one") {
		t.Error("deleting all left the wrong objects")
	}
}

// TestEnginePruneSparesNamesakes deletes the object that was planned for
// deletion, not what someone put in its place meanwhile.
func TestEnginePruneSparesNamesakes(t *testing.T) {
	r := newRig(t, "engine-namesake")
	r.want(dataMap("one", "1"), dataMap("two", "1"), dataMap("three", "1"))
	r.deliver()
	r.want(dataMap("one", "1"))
	p := r.plan()
	maps := r.cluster.Resource(core("configmaps")).Namespace(r.namespace)
	if err := maps.Delete(r.ctx, "two", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(r.ctx, object(t, dataMap("two", "someone's")), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.engine.Prune(r.ctx, p); err != nil {
		t.Fatal(err)
	}
	if !r.exists(core("configmaps"), "two") || r.exists(core("configmaps"), "three") {
		t.Error("the wrong object was pruned")
	}
}

// TestEngineCrash ends a process between apply and prune, and in the middle of
// an apply: the next one leaves nothing missing and nothing orphaned.
func TestEngineCrash(t *testing.T) {
	r := newRig(t, "engine-crash")
	r.want(dataMap("one", "1"), dataMap("two", "1"))
	r.deliver()
	r.want(dataMap("one", "2"), dataMap("three", "1"))
	p := r.plan()
	r.target.Kinds = p.Kinds()
	if _, err := r.engine.Apply(r.ctx, p); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if report := r.deliver(); len(report.Pruned) != 1 || report.Pruned[0].Name != "two" {
		t.Errorf("after a crash before pruning: %+v", report)
	}
	var many []string
	for i := range 60 {
		many = append(many, dataMap(fmt.Sprint("many-", i), "1"))
	}
	r.want(many...)
	p = r.plan()
	r.target.Kinds = p.Kinds()
	ctx, cancel := context.WithCancel(r.ctx)
	go func() { time.Sleep(20 * time.Millisecond); cancel() }()
	if _, err := r.engine.Apply(ctx, p); err == nil {
		t.Log("the apply was faster than its end")
	}
	r.restart()
	r.want(many[:30]...)
	r.deliver()
	r.eventually(func() bool { return !r.plan().Changed() })
	list, err := r.cluster.Resource(core("configmaps")).Namespace(r.namespace).List(r.ctx, metav1.ListOptions{LabelSelector: engine.OwnerLabel})
	if err != nil || len(list.Items) != 30 {
		t.Errorf("%d objects instead of 30: %v", len(list.Items), err)
	}
}

// TestEnginePreflight refuses a set with one bad object, and changes nothing.
func TestEnginePreflight(t *testing.T) {
	r := newRig(t, "engine-preflight")
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: [hunter2]}"
	for _, test := range []struct{ name, bad, good, says string }{
		{"unknown field", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndate: {a: b}", dataMap("bad", "1"), "date"},
		{"invalid value", strings.Replace(web, "name: c,", "name: C_C,", 1), web, "Deployment.apps engine-preflight/web"},
		{"a Secret's value is not shown", secret, strings.Replace(secret, "[hunter2]", "hunter2", 1), "Secret engine-preflight/s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.want(dataMap("fine", "1"), test.bad)
			err := r.engine.Preflight(r.ctx, r.plan())
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error is %v", err)
			}
			if r.exists(core("configmaps"), "fine") {
				t.Error("the good object was written")
			}
			r.want(dataMap("fine", "1"), test.good)
			if err := r.engine.Preflight(r.ctx, r.plan()); err != nil {
				t.Errorf("the twin: %v", err)
			}
		})
	}
	t.Run("unknown kind", func(t *testing.T) {
		r.want("apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}")
		if _, err := r.engine.Plan(r.ctx, r.target); !errors.Is(err, engine.ErrUnknownKind) || !strings.Contains(err.Error(), "Widget.example.com") {
			t.Errorf("error is %v", err)
		}
	})
}

// TestEngineImpersonates writes as the service account, and names it when it may not.
func TestEngineImpersonates(t *testing.T) {
	r := newRig(t, "engine-user")
	r.target.User = "system:serviceaccount:engine-user:shop"
	r.want(dataMap("one", "1"))
	err := r.engine.Preflight(r.ctx, r.plan())
	if !apierrors.IsForbidden(errors.Unwrap(firstOf(err))) && !strings.Contains(fmt.Sprint(err), "hint: grant system:serviceaccount:engine-user:shop") {
		t.Fatalf("error is %v", err)
	}
	if _, err := onStage(t).Kubectl(r.ctx, "create", "rolebinding", "shop", "-n", r.namespace, "--clusterrole=admin", "--serviceaccount=engine-user:shop"); err != nil {
		t.Fatal(err)
	}
	r.eventually(func() bool { return r.engine.Preflight(r.ctx, r.plan()) == nil })
	if report := r.deliver(); len(report.Created) != 1 {
		t.Errorf("created %v", report.Created)
	}
}

func firstOf(err error) error {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) && len(many.Unwrap()) > 0 {
		return many.Unwrap()[0]
	}
	return err
}

// TestEngineBringsDefinitions delivers a definition and its resource at once,
// in a namespace that comes along too, and survives that the kind vanishes.
func TestEngineBringsDefinitions(t *testing.T) {
	r := newRig(t, "engine-crd")
	r.target.PruneProtected = true
	const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.engine.example.com}
spec:
  group: engine.example.com
  scope: Namespaced
  names: {kind: Boat, plural: boats}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`
	const harbour = "apiVersion: v1\nkind: Namespace\nmetadata: {name: engine-harbour}"
	const boat = "apiVersion: engine.example.com/v1\nkind: Boat\nmetadata: {name: b, namespace: engine-harbour}\nspec: {oars: 2}"
	inside := strings.Replace(dataMap("inside", "1"), "name: inside", "name: inside, namespace: engine-harbour", 1)
	r.want(boat, inside, definition, harbour)
	p := r.plan()
	if err := r.engine.Preflight(r.ctx, p); err != nil {
		t.Fatal(err)
	}
	if len(p.Unchecked) != 1 { // the Boat is judged by the definition that comes with it
		t.Errorf("unchecked are %v", p.Unchecked)
	}
	if changes, err := r.engine.Preview(r.ctx, p); err != nil || len(changes) != 4 {
		t.Errorf("changes are %v: %v", changes, err)
	}
	r.target.Kinds = p.Kinds()
	report, err := r.engine.Apply(r.ctx, p)
	if err != nil || len(report.Created) != 4 {
		t.Fatalf("created %v: %v", report.Created, err)
	}
	r.settle()
	boats := schema.GroupVersionResource{Group: "engine.example.com", Version: "v1", Resource: "boats"}
	if _, err := r.cluster.Resource(boats).Namespace("engine-harbour").Patch(r.ctx, "b", types.MergePatchType, []byte(`{"spec":{"oars":3}}`), metav1.PatchOptions{FieldManager: "thief"}); err != nil {
		t.Fatal(err)
	}
	r.eventually(func() bool { return len(r.deliver().Healed) == 1 })
	if _, err := onStage(t).Kubectl(r.ctx, "delete", "crd", "boats.engine.example.com"); err != nil {
		t.Fatal(err)
	}
	r.eventually(func() bool {
		p, err := r.engine.Plan(r.ctx, r.target)
		if err == nil {
			_, err = r.engine.Apply(r.ctx, p)
		}
		if err != nil {
			t.Log(err)
		}
		_, gone := r.cluster.Resource(boats).Namespace("engine-harbour").Get(r.ctx, "b", metav1.GetOptions{})
		return err == nil && gone == nil
	})
	r.settle()
	r.want(dataMap("last", "1"))
	r.eventually(func() bool {
		r.deliver()
		return slices.Equal(r.engine.Remaining(r.plan()), []schema.GroupKind{{Kind: "ConfigMap"}})
	})
	r.requests.take()
	time.Sleep(3 * time.Second)
	if sent := r.requests.take(); len(sent) > 0 {
		t.Errorf("a vanished kind is asked for: %q", sent)
	}
}

// TestEngineOwners keeps two Deliveries off each other's objects.
func TestEngineOwners(t *testing.T) {
	r := newRig(t, "engine-owners")
	r.want(dataMap("one", "1"))
	r.deliver()
	other := r.target
	other.Owner = engine.OwnerOf(r.namespace, "other")
	if _, err := r.engine.Plan(r.ctx, other); !errors.Is(err, engine.ErrOwnedByAnother) || !strings.Contains(err.Error(), string(r.target.Owner)) {
		t.Errorf("error is %v", err)
	}
	r.engine.Release(other.Owner)
	if p := r.plan(); p.Changed() {
		t.Error("the refused Delivery disturbed the owner")
	}
}

// TestEngineHealth follows a Deployment from its start to ready.
func TestEngineHealth(t *testing.T) {
	r := newRig(t, "engine-health")
	r.want(strings.Replace(web, "replicas: 0", "replicas: 2", 1), dataMap("one", "1"))
	r.deliver()
	r.eventually(func() bool {
		h, err := r.engine.Health(r.ctx, r.target)
		if err != nil {
			t.Fatal(err)
		}
		return h.Total == 2 && h.Ready == 2 && len(h.Unhealthy) == 0
	})
	if err := r.cluster.Resource(core("configmaps")).Namespace(r.namespace).Delete(r.ctx, "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.eventually(func() bool {
		h, err := r.engine.Health(r.ctx, r.target)
		return err == nil && len(h.Unhealthy) == 1 && h.Unhealthy[0].Status == "NotFound"
	})
}

// TestEngineStopsFighting heals a field that someone keeps taking only so often.
func TestEngineStopsFighting(t *testing.T) {
	r := newRig(t, "engine-fight")
	r.want(dataMap("one", "1"))
	r.deliver()
	r.settle()
	heals := 0
	r.eventually(func() bool {
		if len(r.actions(engine.Contested)) == 1 {
			return true
		}
		heals += len(r.deliver().Healed)
		r.patch(core("configmaps"), "one", types.MergePatchType, fmt.Sprintf(`{"data":{"key":"thief %d"}}`, heals), "thief")
		return false
	})
	p := r.plan()
	if heals != 6 || p.Changed() || p.NextCheck.Before(time.Now()) || p.Steps[0].Drift.Fields[0].Manager != "thief" {
		t.Errorf("%d heals, then %s until %s: %s", heals, p.Steps[0].Action, p.NextCheck, p.Steps[0].Reason)
	}
	r.want(dataMap("one", "2")) // a new release does not wait for the fight to end
	if report := r.deliver(); len(report.Updated) != 1 {
		t.Errorf("a release after a fight gives %+v", report)
	}
}

// TestEngineReleases ends the watches of an owner, and hears nothing any more.
func TestEngineReleases(t *testing.T) {
	r := newRig(t, "engine-release")
	r.want(dataMap("one", "1"))
	r.deliver()
	r.settle()
	r.patch(core("configmaps"), "one", types.MergePatchType, `{"data":{"key":"2"}}`, "thief")
	if !r.hears() {
		t.Error("no news before the release")
	}
	r.engine.Release(r.target.Owner)
	select { // the release itself is news
	case <-r.news:
	default:
	}
	r.patch(core("configmaps"), "one", types.MergePatchType, `{"data":{"key":"3"}}`, "thief")
	if r.hears() {
		t.Error("news after the release")
	}
}

// TestEngineUnlistedKind plans while one kind cannot be
// listed, and finds it once it can.
func TestEngineUnlistedKind(t *testing.T) {
	r := newRig(t, "engine-unlisted")
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}"
	r.want(dataMap("one", "1"), secret)
	r.deliver()
	r.outage.resource.Store("secrets")
	r.restart()
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
	defer cancel()
	if _, err := r.engine.Plan(ctx, r.target); err == nil || !strings.Contains(err.Error(), "watching Secret: not listed yet: ") || !strings.Contains(err.Error(), "conversion webhook failed") {
		t.Errorf("a wanted kind: error is %v", err)
	}
	start := time.Now()
	r.want(dataMap("two", "1"))
	report := r.deliver() // the kind is in the inventory only
	if len(report.Created) != 1 || len(report.Pruned) != 1 || time.Since(start) > 5*time.Second {
		t.Errorf("created %v, pruned %v after %s", report.Created, report.Pruned, time.Since(start))
	}
	r.outage.resource.Store("")
	r.eventually(func() bool { return len(r.actions(engine.Prune)) == 1 })
	r.outage.resource.Store("secrets")
	r.restart()
	if _, err := r.engine.DeleteAll(r.ctx, r.target); err == nil || !strings.Contains(err.Error(), "deleting all of [Secret]") || r.exists(core("configmaps"), "two") {
		t.Errorf("deleting all: %v", err)
	}
	if got := r.engine.Remaining(r.plan()); !slices.Contains(got, schema.GroupKind{Kind: "Secret"}) {
		t.Errorf("the inventory is %v", got)
	}
}

// TestEngineForgedOwner has someone else put the owner's label on objects that
// the owner's account may not delete: neither pruning nor deletion hangs, and
// all that it may delete goes.
func TestEngineForgedOwner(t *testing.T) {
	r := newRig(t, "engine-forged")
	r.target.User = "system:serviceaccount:engine-forged:shop"
	if _, err := onStage(t).Kubectl(r.ctx, "create", "namespace", "engine-forger"); err != nil {
		t.Fatal(err)
	}
	if _, err := onStage(t).Kubectl(r.ctx, "create", "rolebinding", "shop", "-n", r.namespace, "--clusterrole=admin", "--serviceaccount=engine-forged:shop"); err != nil {
		t.Fatal(err)
	}
	r.want(dataMap("one", "1"), "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: two}")
	r.eventually(func() bool { return r.engine.Preflight(r.ctx, r.plan()) == nil })
	r.deliver()
	forge := func(name, more string) {
		t.Helper()
		forged := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: engine-forger%s, labels: {%s: %s}}", name, more, engine.OwnerLabel, r.target.Owner)
		if out, err := onStage(t).KubectlInput(r.ctx, forged, "apply", "--server-side", "--field-manager", engine.FieldManager, "-f", "-"); err != nil {
			t.Fatal(out, err)
		}
	}
	forge("forged", "")
	forge("going", ", finalizers: [example.com/never]")
	if _, err := onStage(t).Kubectl(r.ctx, "delete", "configmap", "going", "-n", "engine-forger", "--wait=false"); err != nil {
		t.Fatal(err)
	}
	defer onStage(t).Kubectl(context.Background(), "patch", "configmap", "going", "-n", "engine-forger", "--type=merge", `--patch={"metadata":{"finalizers":null}}`)
	r.eventually(func() bool {
		steps := r.actions(engine.Prune)
		return len(steps) == 2 && steps[0].Reason != steps[1].Reason
	})
	r.want(dataMap("one", "1"))
	if report := r.deliver(); len(report.Kept) != 2 || len(report.Pruned) != 1 || slices.ContainsFunc(report.Pending, func(o engine.ObjectRef) bool { return o.Namespace != r.namespace }) {
		t.Errorf("kept %v, pruned %v, pending %v", report.Kept, report.Pruned, report.Pending)
	}
	r.eventually(func() bool { return !r.plan().Changed() })
	if kept := r.actions(engine.Keep); len(kept) != 2 || kept[0].Reason != "may not be deleted by "+r.target.User {
		t.Errorf("later plans keep %v", kept)
	}
	forge("forged", ", annotations: {changed: again}")
	r.eventually(func() bool { return len(r.actions(engine.Prune)) == 1 })
	r.eventually(func() bool {
		report, err := r.engine.DeleteAll(r.ctx, r.target)
		if err != nil || len(report.Kept) != 2 {
			t.Fatalf("deleting keeps %v: %v", report.Kept, err)
		}
		return len(report.Pending) == 0
	})
	if r.exists(core("configmaps"), "one") || r.exists(core("serviceaccounts"), "two") {
		t.Error("something of its own is left")
	}
}

// TestEnginePrunesPastFailures deletes all that it may, and names the rest.
func TestEnginePrunesPastFailures(t *testing.T) {
	r := newRig(t, "engine-past")
	service := "apiVersion: v1\nkind: Service\nmetadata: {name: last}\nspec: {ports: [{port: 80}]}"
	r.want(dataMap("one", "1"), dataMap("two", "1"), web, service)
	r.deliver()
	for _, args := range [][]string{
		{"create", "role", "shop", "--verb=*", "--resource=configmaps"},
		{"create", "rolebinding", "shop", "--role=shop", "--user=past"},
	} {
		if _, err := onStage(t).Kubectl(r.ctx, append(args, "-n", r.namespace)...); err != nil {
			t.Fatal(err)
		}
	}
	r.target.User = "past"
	r.want(dataMap("one", "1"))
	var failures *engine.Failures
	r.eventually(func() bool {
		_, err := r.engine.Prune(r.ctx, r.plan())
		return errors.As(err, &failures) && !r.exists(core("configmaps"), "two")
	})
	if failures.Total != 2 || !strings.Contains(failures.Error(), "Deployment.apps engine-past/web") || !strings.Contains(failures.Error(), "Service engine-past/last") {
		t.Errorf("failures are %v", failures)
	}
	if !r.exists(deployments(), "web") || !r.exists(core("services"), "last") || !r.exists(core("configmaps"), "one") {
		t.Error("the wrong objects are gone")
	}
}

// TestEngineDeadGroup keeps a kind in the inventory whose API server is down:
// what the owner has of it is not lost, and its deletion waits.
func TestEngineDeadGroup(t *testing.T) {
	r := newRig(t, "engine-dead")
	const dead = `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.dead.example.com}
spec: {group: dead.example.com, version: v1, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true, service: {name: none, namespace: default}}
`
	if out, err := onStage(t).KubectlInput(r.ctx, dead, "apply", "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	defer onStage(t).Kubectl(context.Background(), "delete", "apiservice", "v1.dead.example.com", "--ignore-not-found")
	r.eventually(func() bool {
		out, _ := onStage(t).Kubectl(r.ctx, "get", "--raw", "/apis")
		return strings.Contains(out, "dead.example.com")
	})
	thing := schema.GroupKind{Group: "dead.example.com", Kind: "Thing"}
	r.target.Kinds = []schema.GroupKind{thing, {Group: "gone.example.com", Kind: "Thing"}}
	r.want(dataMap("one", "1"))
	r.deliver()
	want := []schema.GroupKind{{Kind: "ConfigMap"}, thing}
	if got := r.engine.Remaining(r.plan()); !slices.Equal(got, want) {
		t.Errorf("the inventory is %v", got)
	}
	if _, err := r.engine.DeleteAll(r.ctx, r.target); err == nil || !strings.Contains(err.Error(), "Thing.dead.example.com") || r.exists(core("configmaps"), "one") {
		t.Errorf("deleting all: %v", err)
	}
	if out, err := onStage(t).Kubectl(r.ctx, "delete", "apiservice", "v1.dead.example.com"); err != nil {
		t.Fatal(out, err)
	}
	r.eventually(func() bool {
		report, err := r.engine.DeleteAll(r.ctx, r.target)
		return err == nil && len(report.Pending) == 0
	})
}
