package bump

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes tables for people.
func (r *Report) Print(out io.Writer) error {
	fmt.Fprintf(out, "automating a repository of %d YAML files, %d of them marked, %d MiB of others and %d refs; medians of %d runs\n",
		r.Files, r.Marked, r.OtherBytes>>20, r.Refs, r.Runs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tseconds\tlimit\tGit bytes\tlimit\tto the server\tfrom it\trequests\tcommits\tregistry requests\tbytes\tCPU seconds\tpeak, MiB\t")
	for _, c := range r.Passes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%.0f\t\n", c.Act, seconds(c.Seconds), seconds(c.LimitSeconds),
			c.gitBytes(), number(c.LimitBytes), c.GitReceived, c.GitSent, c.GitRequests, c.Commits,
			c.RegistryRequests, c.RegistryBytes, seconds(c.CPU), float64(c.PeakBytes)/(1<<20))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "choosing from\tseconds\tCPU seconds\tpeak, MiB\trequests\tbytes\t")
	for _, c := range r.Choosing {
		for _, row := range []struct {
			name string
			Cost
		}{{fmt.Sprintf("%d tags", c.Tags), c.Choose}, {"a bare listing of them", c.Listing}} {
			fmt.Fprintf(w, "%s\t%.3f\t%.2f\t%.0f\t%d\t%d\t\n", row.name, row.Seconds, row.CPU, float64(row.PeakBytes)/(1<<20), row.RegistryRequests, row.RegistryBytes)
		}
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// seconds are empty where none were measured.
func seconds(s float64) string {
	if s == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", s)
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
