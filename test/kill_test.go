package test

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

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

// fifty is a release of fifty objects, in which only the round's number differs
// between rounds: ten objects leave with each round, and ten others come.
func fifty(round int) map[string]string {
	files := map[string]string{}
	for i := range 30 {
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
// random moments, each in the middle of a delivery of fifty objects, and restarts
// it: nothing is ever missing, and nothing orphaned.
func TestKilledSynchronizerConverges(t *testing.T) {
	w := ownStage(t)
	moments := rand.New(rand.NewSource(20261121))
	w.deliver(w.source("tag: main", ""))
	running, err := startSync(w.cluster)
	must(t, err)
	defer func() { running.end(os.Kill) }()
	for round := range 10 {
		release := w.publish(fifty(round))
		// From the moment at which the synchronizer first sees the release.
		w.until("the release seen", func() bool {
			d := w.status()
			return d.Status.Attempted.Digest == release.Digest || d.Status.Applied.Digest == release.Digest
		})
		pause := time.Duration(moments.Int63n(int64(400 * time.Millisecond)))
		time.Sleep(pause)
		before := w.status().Status.Applied.Digest == release.Digest
		running.end(os.Kill)
		t.Logf("round %d: killed %v after the first write was announced; delivered by then: %v", round, pause, before)
		running, err = startSync(w.cluster)
		must(t, err)
		w.delivered(release)
		w.until("the cluster as released", func() bool { return w.owned() == expected(round) })
	}
	if got := w.owned(); got != expected(9) {
		t.Errorf("the cluster holds\n%s\nwant\n%s", got, expected(9))
	}
}

// owned lists what carries the ownership label, with its value.
func (w *world) owned() string {
	w.t.Helper()
	out := w.kubectl("get", "configmaps,services", "-A", "-l", "sealift.dev/delivery="+w.name+"."+w.name, "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name}={.data.value}{"\n"}{end}`)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func expected(round int) string {
	var lines []string
	for i := range 30 {
		lines = append(lines, fmt.Sprintf("ConfigMap/stay-%02d=%d", i, round))
	}
	for i := range 10 {
		lines = append(lines, fmt.Sprintf("ConfigMap/come-%02d-%d=x", i, round), fmt.Sprintf("Service/svc-%02d=", i))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}
