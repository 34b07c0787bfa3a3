package test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// tarpits are registries that take requests and never finish an answer.
type tarpits struct {
	mu    sync.Mutex
	hosts []string
	asked map[string]bool
}

// newTarpits makes registries on ports of their own. Each says nothing for a tag, and a byte a
// second for what has a digest.
func newTarpits(t *testing.T, n int) *tarpits {
	t.Helper()
	p := &tarpits{asked: map[string]bool{}}
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		host := listener.Addr().String()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.asked[host] = true
			p.mu.Unlock()
			for r.Method == http.MethodGet && r.Context().Err() == nil {
				_, _ = w.Write([]byte(" ")) // to whom hangs up, nothing is written
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
			<-r.Context().Done()
		})}
		go server.Serve(listener)
		t.Cleanup(func() { server.Close() })
		p.hosts = append(p.hosts, host)
	}
	return p
}

// left is how many were never asked.
func (p *tarpits) left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.hosts) - len(p.asked)
}

// TestTarpitsOfOneTenant: with two workers, and two hundred registries of one tenant of which none
// ever finishes an answer, half of them while a release is resolved and half while it is verified,
// another tenant's release is delivered, upgraded and healed.
func TestTarpitsOfOneTenant(t *testing.T) {
	w := onFragile(t)
	w.runs("--workers", "2")
	pits := newTarpits(t, 200)
	hostile := w.name + "-hostile"
	w.apply(admission(hostile))
	var all strings.Builder
	for i, host := range pits.hosts {
		what := "tag: main"
		if i%2 == 0 {
			what = `digest: "sha256:` + strings.Repeat("0", 64) + `"`
		}
		fmt.Fprintf(&all, "---\napiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: tarpit-%d, namespace: %s}\nspec:\n  source: {url: oci://%s/deploy/x, %s, insecure: true}\n  trust: {authorities: [{name: ci, key: {data: %q}}]}\n", i, hostile, host, what, w.ci.PublicPEM)
	}
	w.apply(all.String())
	w.until("all tarpits are asked", func() bool { return pits.left() == 0 })

	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.undisturbed(first, hostile)
	w.kubectl("delete", "deliveries", "--all", "-n", hostile, "--wait=false")
}

// undisturbed waits until a release is delivered, upgraded and healed beside the Deliveries of a
// hostile namespace, none of which delivers anything.
func (w *world) undisturbed(first published, hostile string) {
	w.t.Helper()
	w.delivered(first)
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")}))
	w.healed("a", "2")
	ready := w.kubectl("get", "deliveries", "-n", hostile, "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
	if strings.Contains(ready, "True") {
		w.t.Errorf("something of the hostile namespace was delivered: %s", ready)
	}
}
