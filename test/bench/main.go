// Command bench measures what Sealift costs on this machine: publishing a commit of many manifests
// beside the bare upload of the same bytes and cosign's signature; verifying; keeping fleets of
// releases in a cluster, beside a bare loop that sends the same objects, and beside fleets of which
// some never become healthy; and updating images in Git,
// beside git itself. It asserts nothing.
//
//	bench [-only publish,verify,fleet,hopeless,automate] [-runs 5] [-manifests 1000] [-apps 100,500] [-full] [-large 5000] [-pairs 4] [-json FILE] [-o json]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sealift.dev/test/bench/fleet"
)

type options struct {
	only      string
	runs      int
	manifests int
	apps      string
	full      bool
	large     int
	pairs     int
	file      string
	output    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command is the bench, or one of the small programs that it runs beside it: itself.
func command(ctx context.Context) error {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "measure":
			return measureChild(os.Args[2:])
		case "upload":
			return uploadFolder(ctx, os.Args[2:])
		case "tags":
			return listTags(ctx, os.Args[2:])
		}
	}
	var o options
	flag.StringVar(&o.only, "only", "publish,verify,fleet,hopeless,automate", "what is measured")
	flag.IntVar(&o.runs, "runs", 5, "how often publishing, verifying and automating are measured; the median counts")
	flag.IntVar(&o.manifests, "manifests", 1000, "how many manifests of 2 KB the commit has")
	flag.StringVar(&o.apps, "apps", "100,500", "sizes of the fleets")
	flag.BoolVar(&o.full, "full", false, "also a fleet of 1,000")
	flag.IntVar(&o.large, "large", 5000, "how many objects one single release has; 0: none is measured")
	flag.IntVar(&o.pairs, "pairs", 4, "how many pairs of fleets are measured of which one has releases that never become healthy")
	flag.StringVar(&o.file, "json", "", "write the figures to this file as well")
	flag.StringVar(&o.output, "o", "", "output format: json")
	flag.Parse()
	if flag.NArg() > 0 || o.runs < 1 || o.manifests < 1 || o.pairs < 1 || o.output != "" && o.output != "json" {
		return errors.New("usage: bench [-only WHAT,...] [-runs N] [-manifests N] [-apps N,...] [-full] [-large N] [-pairs N] [-json FILE] [-o json]")
	}
	r, err := measureAll(ctx, o)
	if err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	encoded = append(encoded, '\n')
	if o.file != "" {
		if err := os.WriteFile(o.file, encoded, 0o644); err != nil {
			return err
		}
	}
	if o.output == "json" {
		_, err := os.Stdout.Write(encoded)
		return err
	}
	return r.print(os.Stdout)
}

func (o options) measures(what string) bool { return slices.Contains(strings.Split(o.only, ","), what) }

func measureAll(ctx context.Context, o options) (*report, error) {
	dir, err := os.MkdirTemp("", "sealift-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w, err := newWorkshop(ctx, dir, o.manifests)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r := &report{Machine: thisMachine(), Runs: o.runs}
	if o.measures("publish") || o.measures("verify") || o.measures("fleet") || o.measures("hopeless") {
		if err := w.furnish(ctx); err != nil {
			return nil, err
		}
	}
	if o.measures("publish") {
		if r.Publish, err = w.measurePublish(ctx, o.runs); err != nil {
			return nil, fmt.Errorf("measuring publishing: %w", err)
		}
	}
	if o.measures("verify") {
		if r.Verify, err = w.measureVerify(ctx, o.runs); err != nil {
			return nil, fmt.Errorf("measuring verification: %w", err)
		}
	}
	if o.measures("fleet") {
		if r.Fleet, err = w.measureFleets(ctx, o); err != nil {
			return nil, fmt.Errorf("measuring fleets: %w", err)
		}
	}
	if o.measures("hopeless") {
		if r.Hopeless, err = w.measureHopeless(ctx, o); err != nil {
			return nil, fmt.Errorf("measuring fleets without hope: %w", err)
		}
	}
	if o.measures("automate") {
		if r.Automate, err = w.measureAutomate(ctx, o.runs); err != nil {
			return nil, fmt.Errorf("measuring the automator: %w", err)
		}
	}
	return r, nil
}

// measureFleets leaves the workshop's own registry and Sigstore instance alone.
func (w *workshop) measureFleets(ctx context.Context, o options) (*fleet.Report, error) {
	settings, err := w.fleets(o)
	if err != nil {
		return nil, err
	}
	return fleet.Measure(ctx, settings)
}

// measureHopeless takes fleets of 500, or else of the last size that was asked for.
func (w *workshop) measureHopeless(ctx context.Context, o options) (*fleet.Hopeless, error) {
	settings, err := w.fleets(o)
	if err != nil {
		return nil, err
	}
	n := settings.Apps[len(settings.Apps)-1]
	if slices.Contains(settings.Apps, 500) {
		n = 500
	}
	return fleet.MeasureHopeless(ctx, settings, n, max(1, n/20), o.pairs)
}

func (w *workshop) fleets(o options) (fleet.Options, error) {
	sizes := o.apps
	if o.full {
		sizes += ",1000"
	}
	var apps []int
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 || n > 5000 {
			return fleet.Options{}, fmt.Errorf("a fleet has 1 to 5000 releases, not %q", size)
		}
		apps = append(apps, n)
	}
	dir, err := os.MkdirTemp(w.dir, "fleet-")
	return fleet.Options{
		Sealift: w.sealift, Bin: w.bin, Dir: dir, Apps: apps, Large: o.large, Idle: time.Minute, Drifts: 100, Out: os.Stderr,
	}, err
}
