package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	library "sigs.k8s.io/controller-runtime/pkg/metrics"

	"sealift.dev/api/v1alpha1"
)

// gauges tell of the Deliveries as the leader's cache holds them, when they are asked:
// what is gone is not told of, and no two replicas tell of the same.
type gauges struct {
	reader  client.Reader
	leading <-chan struct{}
	ready   *prometheus.Desc
	objects *prometheus.Desc
}

func newGauges(m manager.Manager) *gauges {
	name := []string{"namespace", "name"}
	return &gauges{
		reader:  m.GetClient(),
		leading: m.Elected(),
		ready:   prometheus.NewDesc("sealift_delivery_ready", "1 while the Ready condition is True, 0 otherwise; suspended Deliveries have none.", name, nil),
		objects: prometheus.NewDesc("sealift_objects", "Objects of the release, by state; drifted ones are those that stay so, 20 at most.", append(name, "state"), nil),
	}
}

func (g *gauges) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- g.ready
	descriptions <- g.objects
}

func (g *gauges) Collect(into chan<- prometheus.Metric) {
	select {
	case <-g.leading:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), firstAnswer)
	defer cancel()
	var list v1alpha1.DeliveryList
	if err := g.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		into <- prometheus.NewInvalidMetric(g.ready, fmt.Errorf("listing deliveries: %w", err))
		return
	}
	for i := range list.Items {
		d := &list.Items[i]
		tell := func(what *prometheus.Desc, value int, more ...string) {
			into <- prometheus.MustNewConstMetric(what, prometheus.GaugeValue, float64(value), append([]string{d.Namespace, d.Name}, more...)...)
		}
		ready := 0
		if meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.ConditionReady) {
			ready = 1
		}
		if !d.Spec.Suspend {
			tell(g.ready, ready)
		}
		if o := d.Status.Objects; o != nil {
			tell(g.objects, int(o.Ready), "ready")
			tell(g.objects, int(o.Total-o.Ready), "unready")
			tell(g.objects, len(d.Status.Drifted), "drifted")
		}
	}
}

// serveMetrics serves /metrics at address, together with what the libraries count of
// their queues, the lease, and the process.
func (r *reconciler) serveMetrics(m manager.Manager, address string) error {
	if address == "" {
		return nil
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sealift_deliveries_waiting", Help: "Deliveries that wait while as many of their namespace are worked on as may be.",
	}, func() float64 { return float64(r.passes.Waiting()) })
	for _, c := range []prometheus.Collector{newGauges(m), waiting} {
		if err := r.metrics.registry.Register(c); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w; hint: --metrics-address is an address such as :8080", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{r.metrics.registry, library.Registry}, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		Timeout:             firstAnswer,
	}))
	patience := time.Second
	err = m.Add(&manager.Server{
		Name:            "metrics",
		Server:          &http.Server{Handler: mux, ReadHeaderTimeout: firstAnswer},
		Listener:        listener,
		ShutdownTimeout: &patience,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return nil
}
