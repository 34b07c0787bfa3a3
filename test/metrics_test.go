package test

import (
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// freeAddress is an address that nobody listened at a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// scrape is what /metrics at an address says: values by series. It is empty while
// nobody answers.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return values
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s: %s", response.Status, body)
	}
	for line := range strings.Lines(string(body)) {
		series, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if series += "}"; !found {
			series, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		}
		if number, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(line, "#") {
			values[series] = number
		}
	}
	return values
}

// TestMetrics: /metrics tells of a delivery, a drift, a refusal and a deletion, and
// docs/operations.md and docs/alerts.yaml of what is there, with its labels.
func TestMetrics(t *testing.T) {
	w := onFragile(t)
	address := freeAddress(t)
	w.runs("--leader-elect", "--metrics-address", address)
	tells := func(series string, holds func(float64) bool) {
		t.Helper()
		w.until(series, func() bool {
			value, found := scrape(t, address)[series]
			return found && holds(value)
		})
	}
	is := func(want float64) func(float64) bool { return func(got float64) bool { return got == want } }
	some := func(got float64) bool { return got >= 1 }
	of := `{name="` + w.name + `",namespace="` + w.name + `"`

	w.deliver(w.source("tag: main", ""))
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1")}))
	tells("sealift_delivery_ready"+of+"}", is(1))
	tells("sealift_objects"+of+`,state="ready"}`, is(2))
	tells(`sealift_passes_total{outcome="delivered",step=""}`, some)
	tells(`sealift_verdicts_total{reason=""}`, some)
	tells(`sealift_registry_requests_total{code="200",host="`+w.registry.Host+`"}`, some)
	before := scrape(t, address) // earlier tests left Deliveries here

	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
	tells("sealift_drift_healed_total", is(before["sealift_drift_healed_total"]+1))
	tells("sealift_drift_found_total", is(before["sealift_drift_found_total"]+1))
	tells("sealift_drift_heal_seconds_count", is(before["sealift_drift_heal_seconds_count"]+1))

	w.publishHead(w.stranger, "--version", "6.6.6", "--channel", "main")
	w.refused("Untrusted")
	tells("sealift_delivery_ready"+of+"}", is(0))
	tells(`sealift_verdicts_total{reason="Untrusted"}`, some)
	tells(`sealift_passes_total{outcome="failed",step="verify"}`, some)
	tells(`workqueue_depth{controller="delivery",name="delivery",priority="0"}`, is(0))

	told := scrape(t, address)
	for _, page := range []string{"../docs/operations.md", "../docs/alerts.yaml"} {
		pageTells(t, page, told)
	}
	everythingTold(t, "../docs/operations.md", told)
	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	w.until("no series of a Delivery that is gone", func() bool {
		for series := range scrape(t, address) {
			if strings.Contains(series, of) {
				return false
			}
		}
		return true
	})
}

var (
	namedMetric = regexp.MustCompile(`\b((?:sealift|leader_election)_[a-z_]+)(?:\{([^}]*)\})?`)
	labelName   = regexp.MustCompile(`([a-z_]+)(?:[=!~]+"[^"]*")?(?:,|$)`)
)

// pageTells holds a page to what is there: each metric that it names, with these labels.
func pageTells(t *testing.T, page string, told map[string]float64) {
	t.Helper()
	content, err := os.ReadFile(page)
	must(t, err)
	all := namedMetric.FindAllStringSubmatch(string(content), -1)
	if len(all) < 6 {
		t.Errorf("%s names %d metrics only", page, len(all))
	}
	for _, named := range all {
		found := false
		for series := range told {
			name, labels, _ := strings.Cut(series, "{")
			has := name == named[1] || name == named[1]+"_count"
			for _, label := range labelName.FindAllStringSubmatch(named[2], -1) {
				has = has && strings.Contains(","+labels, ","+label[1]+`="`)
			}
			found = found || has
		}
		if !found {
			t.Errorf("%s: %s is not at /metrics", page, named[0])
		}
	}
}

// everythingTold: the page names each metric of ours.
func everythingTold(t *testing.T, page string, told map[string]float64) {
	t.Helper()
	content, err := os.ReadFile(page)
	must(t, err)
	ours := 0
	for series := range told {
		name, _, _ := strings.Cut(series, "{")
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if !strings.HasPrefix(name, "sealift_") {
			continue
		}
		if ours++; !strings.Contains(string(content), "`"+name) {
			t.Errorf("%s says nothing of %s", page, name)
		}
	}
	if ours == 0 {
		t.Error("there is no metric of ours")
	}
}
