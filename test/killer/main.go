// Command killer is the synchronizer, which ends itself with SIGKILL, or SIGTERM, or stops with
// SIGSTOP, at a moment that its flags name: when a Delivery begins a step, after the API server
// answered a write for it, or when the cache holds its release.
package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/controller"
)

func main() {
	var d doom
	flags := flag.NewFlagSet("killer", flag.ExitOnError) // controller-runtime has a flag of its own
	kubeconfig := flags.String("kubeconfig", "", "path to the kubeconfig")
	namespace := flags.String("namespace", "sealift-system", "namespace of the synchronizer's own objects")
	elect := flags.Bool("leader-elect", false, "work only while holding the lease")
	flags.StringVar(&d.namespace, "of", "", "namespace of the one Delivery that counts")
	flags.BoolVar(&d.everybody, "everybody", false, "steps of all others count, too: one may do them for all")
	flags.StringVar(&d.at, "at", "", "a step; or apply-answered, delete-answered, status-answered, delivery-answered, accepted-answered, cached")
	flags.StringVar(&d.cache, "cache", "", "folder of the cache; empty: there is none")
	flags.StringVar(&d.record, "record", "", "the file of the cache that cached waits for")
	flags.BoolVar(&d.gently, "gently", false, "end with SIGTERM, as a kubelet does")
	flags.BoolVar(&d.pauses, "pauses", false, "stop with SIGSTOP, until somebody sends SIGCONT")
	flags.StringVar(&d.after, "after", "", "count once a status with this text was written")
	flags.IntVar(&d.left, "nth", 1, "which time")
	_ = flags.Parse(os.Args[1:]) // exits
	d.armed = d.after == ""
	if err := d.run(*kubeconfig, *namespace, *elect); err != nil {
		slog.Error("running the synchronizer", "error", err)
		os.Exit(1)
	}
}

func (d *doom) run(kubeconfig, namespace string, elect bool) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &watched{next, d} })
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if d.at == cached {
		go d.watchCache(ctx)
	}
	return controller.Run(ctx, controller.Options{
		Config:      config,
		Namespace:   namespace,
		LeaderElect: elect,
		Registries:  synchronizer.Options{Cache: d.cache, Trace: synchronizer.Trace{Step: d.step}},
		Log:         slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// doom is the moment of death.
type doom struct {
	namespace, at, after string
	cache, record        string
	everybody            bool // steps of every Delivery count
	gently               bool // ends with SIGTERM
	pauses               bool // stops with SIGSTOP

	mu    sync.Mutex
	armed bool
	left  int
}

func (d *doom) step(delivery string, step synchronizer.Step) {
	if d.everybody || strings.HasPrefix(delivery, d.namespace+"/") {
		d.came(string(step))
	}
}

// cached is the moment when the cache holds a release, which nobody has pinned so far.
const cached = "cached"

// watchCache looks for that release.
func (d *doom) watchCache(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(d.cache, "releases", d.record)); err == nil {
			d.came(cached)
		}
	}
}

// came counts a moment, and does not return from the last one where it kills.
func (d *doom) came(moment string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.armed || moment != d.at {
		return
	}
	d.left--
	switch {
	case d.left != 0:
	case d.gently:
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // nothing can be done where it fails
	case d.pauses:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // nothing can be done where it fails
	default:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing can be done where it fails
		select {}
	}
}

// wrote arms d once the text that it waits for is in a status.
func (d *doom) wrote(status []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed = d.armed || bytes.Contains(status, []byte(d.after))
}

// watched tells doom of the writes that were answered.
type watched struct {
	next http.RoundTripper
	doom *doom
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	moment := w.doom.moment(r)
	var sent []byte
	if (moment == "status-answered" || moment == accepted) && r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	if moment == accepted && !bytes.Contains(sent, []byte(w.doom.namespace+"."+w.doom.namespace)) {
		moment = "" // it holds others' only
	}
	answer, err := w.next.RoundTrip(r)
	if err == nil && answer.StatusCode < 300 && moment != "" {
		w.doom.came(moment)
		w.doom.wrote(sent)
	}
	return answer, err
}

// accepted is the moment when what the Delivery accepts is written down.
const accepted = "accepted-answered"

// moment names what r writes of the one Delivery; empty: nothing that counts.
func (d *doom) moment(r *http.Request) string {
	impersonated := r.Header.Get("Impersonate-User")
	ours := strings.HasPrefix(impersonated, "system:serviceaccount:"+d.namespace+":")
	_, delivery, _ := strings.Cut(r.URL.Path, "/namespaces/"+d.namespace+"/deliveries/")
	switch {
	case r.Method == http.MethodGet, r.URL.Query().Has("dryRun"):
	case ours && r.Method == http.MethodPatch:
		return "apply-answered"
	case ours && r.Method == http.MethodDelete:
		return "delete-answered"
	case strings.HasSuffix(delivery, "/status"):
		return "status-answered"
	case delivery != "":
		return "delivery-answered"
	case impersonated == "" && strings.Contains(r.URL.Path, "/configmaps"):
		return accepted
	}
	return ""
}
