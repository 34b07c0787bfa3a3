// Package metrics counts what automators find and do, for Prometheus, and says whether they
// are alive. It changes nothing.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sealift.dev/automator"
)

// maxNames bounds the values of a label; later ones share the name "other".
const maxNames = 1000

// Metrics of one process. Its methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	passes   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	commits  *prometheus.CounterVec
	pulls    *prometheus.CounterVec
	refusals *prometheus.GaugeVec
	holds    *prometheus.GaugeVec
	success  *prometheus.GaugeVec
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec

	mu    sync.Mutex
	names map[string]bool // values of the label repository
	hosts map[string]bool // values of the label host
	ready map[string]bool // repositories and branches of which one pass has ended
	want  int
}

// New makes the metrics of a process that keeps so many repositories.
func New(repositories int) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		passes:   counter("sealift_automate_passes_total", "Passes, by what came of them: idle, changed, failed.", "repository", "branch", "outcome"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sealift_automate_pass_duration_seconds", Help: "How long passes take, by what came of them.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"outcome"}),
		commits:  counter("sealift_automate_commits_total", "Commits that were pushed to the branch.", "repository", "branch"),
		pulls:    counter("sealift_automate_pull_requests_total", "What was done with pull requests.", "repository", "branch", "action"),
		refusals: gauge("sealift_automate_refusals", "Tags that would be written if a gate let them pass, by the last pass.", "repository", "branch", "gate"),
		holds:    gauge("sealift_automate_holds", "Holds of versions that are in force, by the last pass.", "repository", "branch"),
		success:  gauge("sealift_automate_last_success_timestamp_seconds", "When a pass last ended without an error.", "repository", "branch"),
		requests: counter("sealift_automate_requests_total", "Answers of registries, Git servers and forges; code 0 is no answer.", "to", "host", "code"),
		bytes:    counter("sealift_automate_bytes_total", "Bytes of bodies exchanged with them.", "to", "direction"),
		names:    map[string]bool{}, hosts: map[string]bool{}, ready: map[string]bool{}, want: repositories,
	}
	m.registry.MustRegister(m.passes, m.duration, m.commits, m.pulls, m.refusals, m.holds, m.success, m.requests, m.bytes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts one pass over a branch of a repository, which began at start and took so
// long. An empty branch is the one that the repository names.
func (m *Metrics) Observe(repository, branch string, result automator.Result, err error, start time.Time, took time.Duration) {
	name, branch := m.named(m.names, repository), plain(branch)
	outcome := "idle"
	switch {
	case err != nil:
		outcome = "failed"
	case result.Pushed || hasActed(result.Pulls):
		outcome = "changed"
	}
	m.passes.WithLabelValues(name, branch, outcome).Inc()
	m.duration.WithLabelValues(outcome).Observe(took.Seconds())
	if result.Pushed {
		m.commits.WithLabelValues(name, branch).Add(float64(len(result.Commits)))
	}
	for _, pull := range result.Pulls {
		if pull.Action != "" {
			m.pulls.WithLabelValues(name, branch, pull.Action).Inc()
		}
	}
	if err == nil {
		m.success.WithLabelValues(name, branch).Set(float64(start.Add(took).UnixNano()) / 1e9)
	}
	if err == nil || len(result.Images) > 0 { // else it did not get as far
		m.countRefusals(name, branch, result)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready[repository+" "+branch] = true
}

func hasActed(pulls []automator.PullRequest) bool {
	for _, pull := range pulls {
		if pull.Action != "" {
			return true
		}
	}
	return false
}

// countRefusals tells of the last pass only: a gate that refuses nothing any more is at zero.
func (m *Metrics) countRefusals(name, branch string, result automator.Result) {
	m.refusals.DeletePartialMatch(prometheus.Labels{"repository": name, "branch": branch})
	holds := 0
	for _, image := range result.Images {
		holds += len(image.Holds)
		for _, refusal := range image.Refusals {
			m.refusals.WithLabelValues(name, branch, refusal.Gate).Inc()
		}
	}
	m.holds.WithLabelValues(name, branch).Set(float64(holds))
}

// named is value, or "other" where known has as many as there may be.
func (m *Metrics) named(known map[string]bool, value string) string {
	value = plain(value)
	m.mu.Lock()
	defer m.mu.Unlock()
	if known[value] {
		return value
	}
	if len(known) >= maxNames {
		return "other"
	}
	known[value] = true
	return value
}

// plain is a label's value: what is no text, as a stranger's redirect may be, would end the process.
func plain(value string) string { return strings.ToValidUTF8(value, "\uFFFD") }

// Handler serves /metrics, /healthz, and /readyz, which is well once each repository has had
// a pass, whatever came of it.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		missing := m.want - len(m.ready)
		m.mu.Unlock()
		if missing > 0 {
			http.Error(w, strconv.Itoa(missing)+" repositories have had no pass yet", http.StatusServiceUnavailable)
		}
	})
	return mux
}
