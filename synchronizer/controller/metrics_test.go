package controller

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
)

// TestHostsAreBounded: metrics name a hundred registries at most, whatever tenants write,
// and give the names of those that are gone to others.
func TestHostsAreBounded(t *testing.T) {
	m, now := newMetrics(), time.Now()
	answer := m.trace(synchronizer.Trace{}).Answer
	for i := range 300 {
		answer(fmt.Sprintf("h%d.example.com", i), 200)
		answer("evil\n\"host\\\xff", i) // no code that there is, mostly
	}
	series := map[string]int{}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "host" {
					series[label.GetValue()]++
				}
			}
		}
	}
	if len(series) != maxHosts+1 || series[otherHosts] != 1 {
		t.Errorf("%d hosts have a name, and the others have %d series", len(series), series[otherHosts])
	}
	if got := m.host("new.example.com", now.Add(hostsRest/2)); got != otherHosts {
		t.Errorf("a host took the place of another: %s", got)
	}
	m.host("h0.example.com", now.Add(hostsRest/2))
	if got := m.host("new.example.com", now.Add(hostsRest+time.Minute)); got != "new.example.com" {
		t.Errorf("hosts that are gone leave no room: %s", got)
	}
	if len(m.hosts) != 2 {
		t.Errorf("%d hosts are left, want the new one and the one that was heard of", len(m.hosts))
	}
}

// TestTroublesAreToldOnce: a disk that is full takes one line of the log, not one a release.
func TestTroublesAreToldOnce(t *testing.T) {
	var log bytes.Buffer
	cache := &troubles{log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 100 {
		cache.tell(errors.New("no space left"))
	}
	if n := strings.Count(log.String(), "no space left"); n != 1 {
		t.Errorf("%d lines", n)
	}
	cache.told = cache.told.Add(-troublesRest)
	cache.tell(errors.New("no space left"))
	if !strings.Contains(log.String(), "untold=99") {
		t.Errorf("the others are not counted: %s", log.String())
	}
}

// TestHealingIsNotRest: what was left drifted on purpose does not make healing slow.
func TestHealingIsNotRest(t *testing.T) {
	m, name := newMetrics(), types.NamespacedName{Namespace: "shop", Name: "shop"}
	ref := engine.ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "a"}
	healed := synchronizer.Outcome{Report: engine.Report{Healed: []engine.Healed{{Ref: ref}}}}
	measured := func() uint64 {
		var value dto.Metric
		if err := m.healing.Write(&value); err != nil {
			t.Fatal(err)
		}
		return value.GetHistogram().GetSampleCount()
	}
	m.pass(name, synchronizer.Outcome{Drifted: []string{ref.String() + ": its data"}}, nil, 0)
	m.pass(name, healed, nil, 0)
	m.rests(name)
	m.pass(name, healed, nil, 0)
	if n := measured(); n != 0 {
		t.Errorf("%d that waited for a person were measured", n)
	}
	m.pass(name, healed, nil, 0)
	if n := measured(); n != 1 {
		t.Errorf("%d were measured, want the one that was healed at once", n)
	}
}
