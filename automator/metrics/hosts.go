package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"sealift.dev/automator/registry"
)

// Registries tells what is known about registries' hosts, each time that somebody asks. It is
// called once.
func (m *Metrics) Registries(hosts func() []registry.Host) {
	m.registry.MustRegister(&hostCollector{
		hosts: hosts, named: func(host string) string { return m.named(m.hosts, host) },
		rest: prometheus.NewDesc("sealift_automate_registry_rest_until_timestamp_seconds",
			"When a registry that said that it is busy is asked again; absent where it may be asked.", []string{"host"}, nil),
		pulls: prometheus.NewDesc("sealift_automate_registry_pulls_remaining",
			"Pulls that a registry still allows, as it last said; absent where it does not say.", []string{"host"}, nil),
	})
}

type hostCollector struct {
	hosts       func() []registry.Host
	named       func(host string) string
	rest, pulls *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *hostCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.rest
	to <- c.pulls
}

// Collect implements prometheus.Collector. Of the hosts that share a name, the first is told.
func (c *hostCollector) Collect(to chan<- prometheus.Metric) {
	told := map[string]bool{}
	for _, host := range c.hosts() {
		name := c.named(host.Name)
		if told[name] {
			continue
		}
		told[name] = true
		if !host.Rest.IsZero() {
			to <- prometheus.MustNewConstMetric(c.rest, prometheus.GaugeValue, float64(host.Rest.Unix()), name)
		}
		if host.Limit > 0 {
			to <- prometheus.MustNewConstMetric(c.pulls, prometheus.GaugeValue, float64(host.Remaining), name)
		}
	}
}
