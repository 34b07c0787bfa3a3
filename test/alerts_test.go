package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// scraped is what /metrics said at a time, which is made up: minutes instead of seconds.
type scraped struct {
	At       int64
	Instance string
	Text     string
}

// timeline collects scrapes of one synchronizer.
type timeline struct {
	t       *testing.T
	address string
	scrapes []scraped
	now     int64 // seconds
}

// text is what /metrics says now; empty: nobody answers.
func (l *timeline) text() string {
	l.t.Helper()
	response, err := http.Get("http://" + l.address + "/metrics")
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(l.t, err)
	return string(body)
}

// lasts lets what is now go on for minutes: once no Delivery waits for its pass, and the scrape
// matches what is wanted.
func (l *timeline) lasts(minutes int64, wanted ...string) {
	l.t.Helper()
	text := l.text()
	for deadline := time.Now().Add(30 * time.Second); !says(text, wanted); text = l.text() {
		if time.Now().After(deadline) {
			l.t.Fatalf("the metrics do not come to say %q:\n%s", wanted, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.said(text, minutes)
}

func says(text string, wanted []string) bool {
	for _, w := range wanted {
		if !regexp.MustCompile(w).MatchString(text) {
			return false
		}
	}
	return !regexp.MustCompile(`(?m)^(workqueue_depth\{[^}]*name="delivery"[^}]*\}|sealift_deliveries_waiting) [^0]`).MatchString(text)
}

// said lets a scrape be the same for minutes.
func (l *timeline) said(text string, minutes int64) {
	for end := l.now + 60*minutes; l.now < end; l.now += 30 {
		l.scrapes = append(l.scrapes, scraped{l.now, "one:8080", text})
	}
}

// verdict is what Prometheus' rule engine makes of it.
type verdict struct {
	Invalid, Unknown, Names []string
	Firing                  []struct {
		Name   string
		Labels map[string]string
	}
}

// names are those of what fired.
func (v verdict) names() []string {
	names := map[string]bool{}
	for _, f := range v.Firing {
		names[f.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// judge evaluates the rules of docs/alerts.yaml over the scrapes, and begins a new line.
func (l *timeline) judge() verdict {
	l.t.Helper()
	content, err := os.ReadFile("../docs/alerts.yaml")
	must(l.t, err)
	_, rules, _ := strings.Cut(string(content), "\n---\n")
	var document struct {
		Spec json.RawMessage
	}
	must(l.t, yaml.UnmarshalStrict([]byte(strings.Replace(rules, "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n", "", 1)), &map[string]any{}))
	must(l.t, yaml.Unmarshal([]byte(rules), &document))
	question, err := json.Marshal(map[string]any{"rules": string(document.Spec), "scrapes": l.scrapes, "until": l.now})
	must(l.t, err)
	bin, err := parts.Ensure(l.t.Context(), os.Stderr, "alerts")
	must(l.t, err)
	cmd := exec.CommandContext(l.t.Context(), filepath.Join(bin, "alerts"))
	var problem bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(question), &problem
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("evaluating the rules: %v: %s", err, problem.String())
	}
	var v verdict
	must(l.t, json.Unmarshal(out, &v))
	l.scrapes, l.now = nil, 0
	return v
}

// TestAlerts puts a synchronizer into the situations that the alerts of docs/alerts.yaml are for, and
// lets Prometheus' own rule engine say which of them fire: those, and none in a cluster in good health.
func TestAlerts(t *testing.T) {
	w := ownStage(t)
	faults := w.faulty()
	address := freeAddress(t)
	running := w.runs("--leader-elect", "--metrics-address", address)
	line := &timeline{t: t, address: address}
	fired := map[string]bool{}
	fires := func(situation string, want ...string) {
		t.Helper()
		v := line.judge()
		if got := v.names(); !slices.Equal(got, want) {
			t.Errorf("%s: these alerts fire: %q, want %q", situation, got, want)
		}
		for _, problem := range slices.Concat(v.Invalid, v.Unknown) {
			t.Errorf("%s: %s", situation, problem)
		}
		for _, name := range want {
			fired[name] = true
		}
		if len(want) == 0 { // the first situation
			for _, name := range v.Names {
				fired[name] = false
			}
		}
	}

	first := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 1, "example.com/web:1"), "deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	line.lasts(1)
	w.delivered(first)
	line.lasts(1)
	w.changedByHand(2, "a")
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/b.yaml": configMap("b", "1"), "deploy/c.yaml": configMap("c", "1"), "deploy/d.yaml": configMap("d", "1")}))
	line.lasts(60, `sealift_delivery_ready\{.* 1\n`, `state="drifted"\} 0`)
	healthy := line.scrapes[len(line.scrapes)-1].Text
	fires("good health")

	line.said(healthy, 5)
	w.changedByHand(4, "b", "c", "d") // more than five of one object in a minute are contested
	line.lasts(20, `sealift_delivery_ready\{.* 1\n`, `state="drifted"\} 0`)
	fires("twelve changes by hand", "DriftComesBack")

	w.deliver(w.source("tag: main", "  drift: Report\n"))
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3")}))
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
	w.until("the drift", func() bool { return len(w.status().Status.Drifted) == 1 })
	line.lasts(20, `state="drifted"\} 1`)
	fires("drift that is only reported", "DriftStays")
	w.deliver(w.source("tag: main", ""))
	w.until("no drift", func() bool { return len(w.status().Status.Drifted) == 0 })

	line.lasts(5, `state="drifted"\} 0`)
	w.publishHead(w.stranger, "--version", "6.6.6", "--channel", "main")
	w.refused("Untrusted")
	line.lasts(20, `sealift_delivery_ready\{.* 0\n`)
	fires("a release of a stranger", "DeliveryNotReady", "ReleasesRefused")

	failing := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "4")})
	w.delivered(failing)
	line.lasts(1, `sealift_delivery_ready\{.* 1\n`)
	faults.Set(stage.Broken)
	for range 6 {
		met := faults.Met()
		w.until("another answer", func() bool { return faults.Met() > met })
		line.lasts(5)
	}
	fires("a registry that fails", "DeliveryNotReady", "RegistryFails")
	faults.Set("")
	w.delivered(failing)
	line.lasts(1, `sealift_delivery_ready\{.* 1\n`)

	w.kubectl("patch", "clusterrole", "sealift-sync", "--type=json", `--patch=[{"op":"test","path":"/rules/3/resources/0","value":"deliveries/status"},{"op":"replace","path":"/rules/3/verbs","value":["get"]}]`)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "5")})
	line.lasts(2)
	before := failedPasses(line.text())
	for range 5 {
		w.until("another failed pass", func() bool { return failedPasses(line.text()) > before })
		before = failedPasses(line.text())
		line.lasts(2)
	}
	fires("a right that is missing", "SynchronizerFails")

	for pattern, alert := range map[string]string{
		`(?m)^(workqueue_depth\{[^}]*name="delivery"[^}]*\}) .*$`: "SynchronizerBehind",
		`(?m)^(sealift_deliveries_waiting) .*$`:                   "SynchronizerBehind",
		`(?m)^(process_resident_memory_bytes) .*$`:                "SynchronizerNearMemoryLimit",
		`(?m)^(sealift_delivery_ready\{.*) 1$`:                    "ManyDeliveriesNotReady",
	} {
		line.said(altered(t, healthy, pattern), 20)
		if got := line.judge().names(); !slices.Contains(got, alert) {
			t.Errorf("%s does not fire, but %q", alert, got)
		}
		fired[alert] = true
	}

	running.end(os.Interrupt)
	line.said(healthy, 5)
	line.lasts(15)
	fires("no synchronizer", "SynchronizerGone")
	line.said(strings.Replace(healthy, `leader_election_master_status{name="sealift-sync"} 1`, `leader_election_master_status{name="sealift-sync"} 0`, 1), 10)
	fires("no leader", "SynchronizerGone")
	for name, did := range fired {
		if !did {
			t.Errorf("%s has fired in no situation", name)
		}
	}
	if len(fired) < 10 {
		t.Errorf("there are %d alerts only", len(fired))
	}
}

// altered is a scrape in which a series has a large value; of ready Deliveries there are four that
// are not.
func altered(t *testing.T, text, pattern string) string {
	t.Helper()
	series := regexp.MustCompile(pattern)
	if !series.MatchString(text) {
		t.Fatalf("no series matches %s", pattern)
	}
	if strings.Contains(pattern, "delivery_ready") {
		more := ""
		for _, name := range []string{"b", "c", "d"} {
			more += fmt.Sprintf("\nsealift_delivery_ready{name=%q,namespace=\"x\"} 0", name)
		}
		return series.ReplaceAllString(text, "$1 1"+more)
	}
	return series.ReplaceAllString(text, "$1 5e+08")
}

// failedPasses counts the passes whose status could not be written.
func failedPasses(text string) string {
	return regexp.MustCompile(`sealift_passes_total\{outcome="failed",step="status"\} \d+`).FindString(text)
}

// changedByHand changes objects several times, and waits for each correction.
func (w *world) changedByHand(times int, names ...string) {
	w.t.Helper()
	for _, name := range names {
		value := func() string {
			return w.kubectl("get", "configmap", name, "-n", w.name, "-o", "jsonpath={.data.value}")
		}
		was := value()
		for range times {
			w.kubectl("patch", "configmap", name, "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
			w.until("the drift healed", func() bool { return value() == was })
		}
	}
}
