package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"sealift.dev/publisher"
)

// progress tells people how far publishing is: of one release each step, of several a
// line for each, or on a terminal one line that is written over.
type progress struct {
	to    io.Writer
	quiet bool
	of    int
	count int
	live  bool // the last line is to be written over
}

func (p *progress) step(step string) {
	if !p.quiet {
		fmt.Fprintln(p.to, printable(step))
	}
}

func (p *progress) done(r publisher.Result) {
	p.count++
	if p.quiet || p.of == 1 {
		return
	}
	what := r.Reference
	if r.State == publisher.Failed {
		what = r.Repository
	}
	line := fmt.Sprintf("%d/%d %s %s", p.count, p.of, r.State, printable(what))
	width, ok := terminalWidth(p.to)
	if !ok {
		fmt.Fprintln(p.to, line)
		return
	}
	fmt.Fprintf(p.to, "\r\x1b[K%s", line[:min(len(line), width-1)])
	p.live = true
}

// end leaves the terminal at the start of an empty line.
func (p *progress) end() {
	if p.live {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

func terminalWidth(w io.Writer) (int, bool) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	return max(width, 20), err == nil
}
