package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"sealift.dev/test/bench/bump"
	"sealift.dev/test/bench/fleet"
)

type report struct {
	Machine machine        `json:"machine"`
	Runs    int            `json:"runs"`
	Publish publishing     `json:"publish"`
	Verify  []verification `json:"verify"`
	Fleet   *fleet.Report  `json:"fleet,omitempty"`
	// Hopeless is what fleets cost of which some never become healthy.
	Hopeless *fleet.Hopeless `json:"hopeless,omitempty"`
	// Automate is what images cost in Git.
	Automate *bump.Report `json:"automate,omitempty"`
}

// machine is what the figures are of.
type machine struct {
	System    string `json:"system"`
	CPUs      int    `json:"cpus"`
	Processor string `json:"processor,omitempty"`
	Memory    string `json:"memory,omitempty"`
	Go        string `json:"go"`
}

func thisMachine() machine {
	return machine{
		System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Processor: valueIn("/proc/cpuinfo", "model name"), Memory: valueIn("/proc/meminfo", "MemTotal"),
	}
}

// valueIn is the first value of a name in one of Linux's files; empty elsewhere.
func valueIn(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// print writes tables for people, of what was measured.
func (r *report) print(out io.Writer) error {
	m := r.Machine
	fmt.Fprintf(out, "%s, %d CPUs (%s), %s of memory, %s\n\n", m.System, m.CPUs, m.Processor, m.Memory, m.Go)
	if err := r.printPublish(out); err != nil {
		return err
	}
	if err := r.printVerify(out); err != nil {
		return err
	}
	if r.Hopeless != nil {
		if err := r.Hopeless.Print(out); err != nil {
			return err
		}
	}
	if r.Fleet != nil {
		if err := r.Fleet.Print(out); err != nil {
			return err
		}
	}
	if r.Automate != nil {
		return r.Automate.Print(out)
	}
	return nil
}

func (r *report) printPublish(out io.Writer) error {
	p := r.Publish
	if p.Manifests == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "publishing %d manifests, %d bytes of YAML, as a release of %d bytes; medians of %d runs\n", p.Manifests, p.YAMLBytes, p.Release, r.Runs)
	fmt.Fprintln(w, "\tseconds\tCPU seconds\tpeak memory, MiB\tbytes over the wire\t")
	for _, row := range []struct {
		name string
		usage
	}{{"sealift publish --key", p.Sealift}, {"bare upload of the same bytes", p.Upload}, {"cosign sign --key of the same", p.Cosign}} {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.0f\t%d\t\n", row.name, row.Seconds, row.CPU, float64(row.PeakBytes)/(1<<20), row.WireBytes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "sealift takes %.1f times the bare upload, %.2f times the upload and cosign together\n\n", p.Ratio, p.RatioSigned)
	return err
}

func (r *report) printVerify(out io.Writer) error {
	if len(r.Verify) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "verdicts per second, one after the other\tcold\tcached\t")
	for _, v := range r.Verify {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t\n", v.Signature, v.Cold, v.Cached)
	}
	fmt.Fprintln(w)
	return w.Flush()
}
