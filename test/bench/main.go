// Command bench measures what Sealift costs on this machine: publishing a commit of many manifests
// beside the bare upload of the same bytes and cosign's signature, and verifying. It asserts
// nothing; figures are medians of several runs.
//
//	bench [-runs 5] [-manifests 1000] [-o json]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

type options struct {
	runs      int
	manifests int
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
		}
	}
	var o options
	flag.IntVar(&o.runs, "runs", 5, "how often each thing is measured")
	flag.IntVar(&o.manifests, "manifests", 1000, "how many manifests of 2 KB the commit has")
	flag.StringVar(&o.output, "o", "", "output format: json")
	flag.Parse()
	if flag.NArg() > 0 || o.runs < 1 || o.manifests < 1 || o.output != "" && o.output != "json" {
		return errors.New("usage: bench [-runs N] [-manifests N] [-o json]")
	}
	r, err := measureAll(ctx, o)
	if err != nil {
		return err
	}
	if o.output == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return r.print(os.Stdout)
}

func measureAll(ctx context.Context, o options) (*report, error) {
	bin, err := parts.Ensure(ctx, os.Stderr, append(stage.SigstoreParts(), "cosign3")...)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sealift-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w, err := newWorkshop(ctx, bin, dir, o.manifests)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r := &report{Machine: thisMachine(), Runs: o.runs}
	if r.Publish, err = w.measurePublish(ctx, o.runs); err != nil {
		return nil, fmt.Errorf("measuring publishing: %w", err)
	}
	if r.Verify, err = w.measureVerify(ctx, o.runs); err != nil {
		return nil, fmt.Errorf("measuring verification: %w", err)
	}
	return r, nil
}
