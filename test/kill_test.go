package test

import (
	"cmp"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"sealift.dev/test/stage"
)

// ownStage gives a test a control plane with no synchronizer but its own.
func ownStage(t *testing.T) *world {
	t.Helper()
	shared := onStage(t)
	dir := filepath.Join(shared.Dir, strings.ToLower(t.Name()))
	must(t, os.MkdirAll(dir, 0o755))
	cluster, err := stage.StartControlPlane(t.Context(), shared.Bin, dir)
	must(t, err)
	t.Cleanup(cluster.Stop)
	must(t, installOn(t.Context(), cluster))
	w := newWorld(t, cluster, shared.Registry, shared.Git)
	w.admit()
	return w
}

// fifty is a release of fifty objects. With each round ten objects leave and ten
// others come, and one kind leaves with its only object and another comes.
func fifty(round int) map[string]string {
	files := map[string]string{fmt.Sprintf("deploy/kind-%d.yaml", round): passing(round)}
	if round > 0 {
		files[fmt.Sprintf("deploy/kind-%d.yaml", round-1)] = "" // removed
	}
	for i := range 29 {
		files[fmt.Sprintf("deploy/stay-%02d.yaml", i)] = configMap(fmt.Sprintf("stay-%02d", i), fmt.Sprint(round))
	}
	for i := range 10 {
		files[fmt.Sprintf("deploy/svc-%02d.yaml", i)] = service(fmt.Sprintf("svc-%02d", i))
		files[fmt.Sprintf("deploy/come-%02d-%d.yaml", i, round)] = configMap(fmt.Sprintf("come-%02d-%d", i, round), "x")
		if round > 0 {
			files[fmt.Sprintf("deploy/come-%02d-%d.yaml", i, round-1)] = "" // removed
		}
	}
	return files
}

// TestKilledSynchronizerConverges kills the synchronizer with SIGKILL at ten
// random moments of a delivery of fifty objects, and restarts it: nothing is ever
// missing, and nothing orphaned. The moments are drawn from the time that an
// undisturbed delivery takes.
func TestKilledSynchronizerConverges(t *testing.T) {
	w := ownStage(t)
	moments := rand.New(rand.NewSource(20261121))
	w.deliver(w.source("tag: main", ""))
	running, err := startSync(w.cluster)
	must(t, err)
	defer func() { running.end(os.Kill) }()
	w.delivered(w.publish(fifty(0)))

	began := w.began()
	release := w.publish(fifty(1))
	start := <-began
	w.delivered(release)
	whole := time.Since(start)
	interrupted := 0
	round := 2
	for range 10 {
		began := w.began()
		release := w.publish(fifty(round))
		<-began
		pause := time.Duration(moments.Int63n(int64(whole)))
		time.Sleep(pause)
		running.end(os.Kill)
		if w.status().Status.Applied.Digest != release.Digest {
			interrupted++
		}
		t.Logf("killed %v after its intent was saved, of %v", pause.Round(time.Millisecond), whole.Round(time.Millisecond))
		if round%2 == 0 { // the next release comes before the restart: what was half written is not wanted
			round++
			release = w.publish(fifty(round))
		}
		running, err = startSync(w.cluster)
		must(t, err)
		w.delivered(release)
		w.until("the cluster as released", func() bool { return w.owned() == expected(round) })
		round++
	}
	t.Logf("%d of 10 deliveries were interrupted", interrupted)
	if interrupted == 0 {
		t.Error("no delivery was interrupted: the test proves nothing")
	}
}

// began reports when the synchronizer has saved what it sets out to do, for a release
// that comes from now on: the first write follows.
func (w *world) began() <-chan time.Time {
	w.t.Helper()
	client, err := dynamic.NewForConfig(w.cluster.AdminConfig())
	must(w.t, err)
	records := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("sealift-system")
	now, err := records.List(w.t.Context(), metav1.ListOptions{})
	must(w.t, err)
	entry := func(o *unstructured.Unstructured) string {
		value, _, _ := unstructured.NestedString(o.Object, "data", w.name+"."+w.name)
		return value
	}
	var before []string
	for i := range now.Items {
		before = append(before, entry(&now.Items[i]))
	}
	watch, err := records.Watch(w.t.Context(), metav1.ListOptions{ResourceVersion: now.GetResourceVersion()})
	must(w.t, err)
	saved := make(chan time.Time, 1)
	go func() {
		defer watch.Stop()
		for event := range watch.ResultChan() {
			if o, ok := event.Object.(*unstructured.Unstructured); ok && entry(o) != "" && !slices.Contains(before, entry(o)) {
				saved <- time.Now()
				return
			}
		}
	}()
	return saved
}

// passing is an object of a kind that only every fourth round has.
func passing(round int) string {
	kind := passingKind(round)
	version := map[string]string{"Role": "rbac.authorization.k8s.io/v1", "NetworkPolicy": "networking.k8s.io/v1"}[kind]
	spec := map[string]string{"NetworkPolicy": "spec: {podSelector: {}}\n", "LimitRange": "spec: {limits: []}\n"}[kind]
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: passing-%d}\n%s", cmp.Or(version, "v1"), kind, round, spec)
}

func passingKind(round int) string {
	return []string{"ServiceAccount", "Role", "NetworkPolicy", "LimitRange"}[round%4]
}

// owned lists what carries the ownership label, with its value.
func (w *world) owned() string {
	w.t.Helper()
	out := w.kubectl("get", "configmaps,services,serviceaccounts,roles,networkpolicies,limitranges", "-A", "-l", "sealift.dev/delivery="+w.name+"."+w.name, "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name}={.data.value}{"\n"}{end}`)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func expected(round int) string {
	var lines []string
	lines = append(lines, passingKind(round)+fmt.Sprintf("/passing-%d=", round))
	for i := range 29 {
		lines = append(lines, fmt.Sprintf("ConfigMap/stay-%02d=%d", i, round))
	}
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("ConfigMap/come-%02d-%d=x", i, round), fmt.Sprintf("Service/svc-%02d=", i))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}
