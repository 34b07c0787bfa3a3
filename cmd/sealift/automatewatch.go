package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"sealift.dev/automator"
	"sealift.dev/automator/metrics"
	"sealift.dev/automator/webhook"
)

// watchFlags say how "automate --watch" goes on.
type watchFlags struct {
	on             bool
	interval       time.Duration
	scanEvery      time.Duration
	atOnce         int
	webhookAddress string
	webhookSecret  string
	metricsAddress string
	logFormat      string
}

func (w *watchFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&w.on, "watch", false, "make a pass every interval until stopped")
	flags.DurationVar(&w.interval, "interval", time.Minute, "time between two passes, with --watch")
	flags.DurationVar(&w.scanEvery, "scan-interval", 0, "how long a list of tags counts unless a notification came, with --watch (default it is made in each pass)")
	flags.IntVar(&w.atOnce, "workers", 4, "how many repositories are worked on at a time, with --watch")
	flags.StringVar(&w.webhookAddress, "webhook-address", "", "address that takes registries' and Git servers' notifications at /hooks/, such as :8080 (default none)")
	flags.StringVar(&w.webhookSecret, "webhook-secret-file", "", "file with the secrets, one a line, that authenticate notifications")
	flags.StringVar(&w.metricsAddress, "metrics-address", "", "address that serves /metrics, /healthz and /readyz, such as :8081 (default none)")
	flags.StringVar(&w.logFormat, "log-format", "text", "log format: text or json, with --watch")
}

func (w *watchFlags) check() error {
	switch {
	case w.on && w.interval < time.Second:
		return usage(errors.New("--interval is at least 1s"))
	case w.scanEvery < 0:
		return usage(errors.New("--scan-interval is not negative"))
	case w.atOnce < 1:
		return usage(errors.New("--workers is at least 1"))
	case !w.on && (w.webhookAddress != "" || w.metricsAddress != "" || w.scanEvery != 0):
		return usage(errors.New("--webhook-address, --metrics-address and --scan-interval go with --watch"))
	case (w.webhookAddress == "") != (w.webhookSecret == ""):
		return usage(errors.New("--webhook-address and --webhook-secret-file go together: notifications are authenticated"))
	}
	return nil
}

// watcher is what stands around the automators of a process that stays.
type watcher struct {
	flags   watchFlags
	log     *slog.Logger
	metrics *metrics.Metrics // nil without --metrics-address
	secrets []string

	mu   sync.Mutex
	told map[string]map[string]bool // what was logged of a branch's last pass
}

func (w *watchFlags) open(s streams, repositories int) (*watcher, error) {
	log, err := newLogger(s, w.logFormat)
	if err != nil {
		return nil, err
	}
	out := &watcher{flags: *w, log: log, told: map[string]map[string]bool{}}
	if w.metricsAddress != "" {
		out.metrics = metrics.New(repositories)
	}
	if w.webhookSecret != "" {
		data, err := readBounded(w.webhookSecret, maxSecret)
		if err != nil {
			return nil, fmt.Errorf("reading --webhook-secret-file: %w", err)
		}
		out.secrets = strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' || r == '\r' })
	}
	return out, nil
}

// run watches until ctx is done. Listening fails at once, and not in the middle.
func (w *watcher) run(ctx context.Context, automators []*automator.Automator) error {
	fleet := automator.NewFleet(automators...)
	var servers []*http.Server
	var listeners []net.Listener
	add := func(flag, address string, handler http.Handler) error {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("%s: %w; hint: an address is such as :8080", flag, err)
		}
		listeners = append(listeners, listener)
		servers = append(servers, &http.Server{
			Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
			WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		})
		return nil
	}
	if w.flags.webhookAddress != "" {
		handler, err := webhook.New(webhook.Options{Secrets: w.secrets, Hint: func(h webhook.Hint) { fleet.Hint(h.Image, h.Git) }})
		if err == nil {
			err = add("--webhook-address", w.flags.webhookAddress, handler)
		}
		if err != nil {
			return errors.Join(err, closeAll(listeners))
		}
	}
	if w.flags.metricsAddress != "" {
		if err := add("--metrics-address", w.flags.metricsAddress, w.metrics.Handler()); err != nil {
			return errors.Join(err, closeAll(listeners))
		}
	}
	return w.serve(ctx, fleet, servers, listeners)
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// serve ends when ctx is done, or when a server does.
func (w *watcher) serve(ctx context.Context, fleet *automator.Fleet, servers []*http.Server, listeners []net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	for i, server := range servers {
		group.Go(func() {
			if err := server.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				stop(fmt.Errorf("serving %s: %w", listeners[i].Addr(), err))
			}
		})
	}
	fleet.Watch(ctx, w.flags.interval, w.flags.atOnce, w.report)
	for _, server := range servers {
		_ = server.Close() // what it serves is not worth waiting for
	}
	group.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// report logs one line for each decision that changed something, and each failure.
func (w *watcher) report(pass automator.Pass) {
	if w.metrics != nil {
		w.metrics.Observe(pass.Repo, pass.Branch, pass.Result, pass.Err, pass.Start, pass.Took)
	}
	log := w.log.With("repository", printable(pass.Repo), "branch", printable(pass.Result.Branch))
	if pass.Err != nil {
		log.Error("the pass failed", "error", printable(pass.Err.Error()))
	}
	for _, change := range pass.Result.Changes {
		if pass.Result.Pushed {
			log.Info("updated", "image", change.Image, "file", printable(change.File), "line", change.Line, "old", printable(change.Old), "new", change.New, "commit", pass.Result.Commit)
		}
	}
	for _, pull := range pass.Result.Pulls {
		if pull.Action != "" {
			log.Info("pull request "+pull.Action, "url", printable(pull.URL), "group", pull.Group, "reason", printable(pull.Reason))
		}
	}
	w.reportRefusals(log, pass)
}

// reportRefusals logs what is refused, held, or would be, now, and was not in the last pass.
func (w *watcher) reportRefusals(log *slog.Logger, pass automator.Pass) {
	if len(pass.Result.Images) == 0 {
		return // it did not get as far
	}
	key := pass.Repo + " " + pass.Branch
	w.mu.Lock()
	defer w.mu.Unlock()
	before, now := w.told[key], map[string]bool{}
	for _, image := range pass.Result.Images {
		for _, refusal := range image.Refusals {
			id := image.Name + " " + refusal.Tag + " " + refusal.Gate // a reason may have a time in it
			if now[id] = true; !before[id] {
				log.Info("refused", "image", image.Name, "tag", printable(refusal.Tag), "gate", refusal.Gate, "reason", printable(refusal.Reason))
			}
		}
		for _, hold := range image.Holds {
			id := image.Name + " held " + hold
			if now[id] = true; !before[id] {
				log.Info("held", "image", image.Name, "hold", printable(hold))
			}
		}
		for _, finding := range image.Findings {
			id := image.Name + " " + image.Tag + " " + finding
			if now[id] = true; !before[id] {
				log.Info("passes for trial", "image", image.Name, "tag", printable(image.Tag), "finding", printable(finding))
			}
		}
	}
	w.told[key] = now
}
