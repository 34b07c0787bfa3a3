package controller

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer"
	"sealift.dev/verify"
)

const (
	// maxHosts bounds the registries that metrics name: tenants choose them.
	maxHosts = 100
	// hostsRest is how long a registry that nobody hears of any more keeps its name, if
	// another one wants it.
	hostsRest = time.Hour
	// otherHosts stands for the rest of them, and for codes that HTTP does not know.
	otherHosts = "other"
)

// metrics count what passes do. docs/operations.md lists them.
type metrics struct {
	registry *prometheus.Registry

	passes, answers, verdicts *prometheus.CounterVec
	durations                 *prometheus.HistogramVec
	found, healed             prometheus.Counter
	healing                   prometheus.Histogram

	mu      sync.Mutex
	hosts   map[string]time.Time                     // when they were heard of last
	drifted map[types.NamespacedName]map[string]bool // what drifted, as of the last pass
	resting map[types.NamespacedName]bool            // who is suspended
}

func newMetrics() *metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		passes:   counters("sealift_passes_total", "Passes, by what came of them and the step that failed.", "outcome", "step"),
		answers:  counters("sealift_registry_requests_total", "Requests to registries and token servers; code 0 is no answer.", "host", "code"),
		verdicts: counters("sealift_verdicts_total", "Verified releases; an empty reason is a trusted one.", "reason"),
		found:    counter("sealift_drift_found_total", "Objects that were found drifted."),
		healed:   counter("sealift_drift_healed_total", "Drifted objects that were corrected."),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sealift_pass_duration_seconds", Help: "How long passes take, by what came of them.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"outcome"}),
		healing: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sealift_drift_heal_seconds", Help: "From the news of a drift to the API server's answer to its correction.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}),
		hosts:   map[string]time.Time{},
		drifted: map[types.NamespacedName]map[string]bool{},
		resting: map[types.NamespacedName]bool{},
	}
	for _, reason := range []verify.Reason{"", verify.NoPolicy, verify.InvalidPolicy, verify.NotFound, verify.Unavailable, verify.Malformed,
		verify.NotSigned, verify.Untrusted, verify.StatementMismatch, verify.AttestationMissing, verify.Revoked} {
		m.verdicts.WithLabelValues(string(reason)) // Prometheus sees no increase in what begins with one
	}
	m.registry.MustRegister(m.passes, m.answers, m.verdicts, m.found, m.healed, m.durations, m.healing)
	return m
}

// trace counts what t is told as well.
func (m *metrics) trace(t synchronizer.Trace) synchronizer.Trace {
	verdict, answer := t.Verdict, t.Answer
	t.Verdict = func(reason string) {
		m.verdicts.WithLabelValues(plain(reason)).Inc()
		if verdict != nil {
			verdict(reason)
		}
	}
	t.Answer = func(host string, status int) {
		m.answers.WithLabelValues(m.host(host, time.Now()), codeOf(status)).Inc()
		if answer != nil {
			answer(host, status)
		}
	}
	return t
}

// host is the name of a registry, as long as there are not too many. Those that were not
// heard of for an hour make room, with all that was counted of them.
func (m *metrics) host(name string, now time.Time) string {
	name = plain(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.hosts[name]; !known && len(m.hosts) >= maxHosts {
		maps.DeleteFunc(m.hosts, func(host string, heard time.Time) bool {
			gone := now.Sub(heard) >= hostsRest
			if gone {
				m.answers.DeletePartialMatch(prometheus.Labels{"host": host})
			}
			return gone
		})
		if len(m.hosts) >= maxHosts {
			return otherHosts
		}
	}
	m.hosts[name] = now
	return name
}

func codeOf(status int) string {
	if status != 0 && http.StatusText(status) == "" {
		return otherHosts
	}
	return strconv.Itoa(status)
}

// pass counts a pass, what it found and what it did.
func (m *metrics) pass(name types.NamespacedName, out synchronizer.Outcome, err error, took time.Duration) {
	outcome, step := outcomeOf(out, err)
	m.passes.WithLabelValues(outcome, step).Inc()
	m.durations.WithLabelValues(outcome).Observe(took.Seconds())
	healed := make([]string, 0, len(out.Report.Healed))
	left := m.left(name)
	for _, h := range out.Report.Healed {
		if !left(h.Ref.String()) {
			m.healing.Observe(h.Latency.Seconds())
		}
		healed = append(healed, h.Ref.String())
	}
	m.healed.Add(float64(len(healed)))
	m.found.Add(float64(m.fresh(name, healed, out.Drifted)))
}

// rests says that a Delivery is suspended: until its next pass nothing is to be healed.
func (m *metrics) rests(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resting[name] = true
}

// left says which objects were left drifted on purpose before this pass.
func (m *metrics) left(name types.NamespacedName) func(ref string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	rested, reported := m.resting[name], m.drifted[name]
	delete(m.resting, name)
	return func(ref string) bool { return rested || reported[ref] }
}

// untold counts a pass of which the status does not tell: it could not be written.
func (m *metrics) untold(err error) {
	if !apierrors.IsConflict(err) {
		m.passes.WithLabelValues("failed", "status").Inc()
	}
}

// fresh counts what drifted and had not at the pass before. Drift that is only
// reported stays until somebody undoes it, and is found once.
func (m *metrics) fresh(name types.NamespacedName, healed, drifted []string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, now, fresh := m.drifted[name], map[string]bool{}, 0
	for _, ref := range healed {
		if !before[ref] {
			fresh++
		}
	}
	for _, d := range drifted {
		ref, _, _ := strings.Cut(d, ": ")
		if !before[ref] && !now[ref] {
			fresh++
		}
		now[ref] = true
	}
	if delete(m.drifted, name); len(now) > 0 {
		m.drifted[name] = now
	}
	return fresh
}

// forget drops what is remembered of a Delivery that is gone.
func (m *metrics) forget(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.drifted, name)
	delete(m.resting, name)
}

// outcomeOf names what came of a pass, and the step that failed; docs/operations.md
// lists the outcomes.
func outcomeOf(out synchronizer.Outcome, err error) (outcome, step string) {
	var failed *synchronizer.Error
	switch {
	case errors.As(err, &failed) && failed.Step == synchronizer.Depend:
		return "waiting", ""
	case failed != nil:
		return "failed", string(failed.Step)
	case err != nil:
		return "failed", "read" // what was asked for cannot be read
	case out.Asking > 0:
		return "asking", ""
	case out.Healthy:
		return "delivered", ""
	case out.Degraded:
		return "degraded", ""
	}
	return "progressing", ""
}
