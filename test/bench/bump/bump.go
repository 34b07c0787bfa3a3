// Package bump measures what it costs the automator to see that there is nothing to do, to make
// one update and a hundred, and to choose from many tags, beside git and a bare listing.
package bump

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"sealift.dev/test/bench/wire"
	"sealift.dev/test/stage"
)

// Usage is what one run of a program took.
type Usage struct {
	Seconds   float64
	CPU       float64
	PeakBytes int64
}

// Options of Measure. All are required but Out.
type Options struct {
	Sealift string // the binary
	Dir     string // an empty folder
	Runs    int    // the median counts
	Tags    []int  // how many there are to choose from
	// Run runs a program and says what it took.
	Run func(ctx context.Context, program string, args ...string) (Usage, error)
	// Environment of what is not run by Run.
	Environment []string
	// List is a program that lists all tags of a repository and keeps none.
	List []string
	// Out gets a line for each step. Nil: nothing is written.
	Out io.Writer
}

// The shape of the repository.
const (
	files      = 1000     // of YAML
	marked     = 100      // of them have a marker, each of an image of its own
	otherFiles = 40       //
	otherBytes = 20 << 20 // in them together, which do not compress
	otherRefs  = 3000     // tags and branches
)

// Report is what was measured.
type Report struct {
	Files      int      `json:"files"`
	Marked     int      `json:"marked"`
	OtherBytes int      `json:"otherBytes"`
	Refs       int      `json:"refs"`
	Runs       int      `json:"runs"`
	Passes     []Cost   `json:"passes"`
	Choosing   []Choice `json:"choosing"`
}

// Cost is what one act took. Bytes are those on the wire with headers, in both directions.
type Cost struct {
	Act       string  `json:"act"`
	Yardstick bool    `json:"yardstick,omitempty"` // another program's work
	Seconds   float64 `json:"seconds,omitempty"`
	CPU       float64 `json:"cpuSeconds,omitempty"`
	PeakBytes int64   `json:"peakBytes,omitempty"`

	GitRequests      int64 `json:"gitRequests"`
	GitReceived      int64 `json:"gitReceivedBytes"` // by the server
	GitSent          int64 `json:"gitSentBytes"`     // by the server
	RegistryRequests int64 `json:"registryRequests"`
	RegistryBytes    int64 `json:"registryBytes"`
	Commits          int64 `json:"commits"`

	// Limits of the budget; zero: none.
	LimitSeconds float64 `json:"limitSeconds,omitempty"`
	LimitBytes   int64   `json:"limitGitBytes,omitempty"`
	LimitCommits int64   `json:"limitCommits,omitempty"`
}

// gitBytes are both directions.
func (c Cost) gitBytes() int64 { return c.GitReceived + c.GitSent }

// ground is where the measurements are made.
type ground struct {
	Options
	shelf    *shelf
	git      *stage.GitServer
	meter    *wire.Meter
	requests *atomic.Int64
	url      string // of the automator's repository
	peer     string // of a copy, for git
	version  int    // of every image, as 1.0.VERSION
}

// Measure measures everything, one act after the other.
func Measure(ctx context.Context, o Options) (*Report, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	g, err := prepare(o)
	if err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	defer g.close()
	r := &Report{Files: files, Marked: marked, OtherBytes: otherBytes, Refs: otherRefs, Runs: o.Runs}
	for _, measure := range []func(context.Context) ([]Cost, error){g.idle, g.watches, g.bumps} {
		costs, err := measure(ctx)
		if err != nil {
			return nil, err
		}
		r.Passes = append(r.Passes, costs...)
	}
	limit(r.Passes)
	r.Choosing, err = g.choosing(ctx)
	return r, err
}

func prepare(o Options) (g *ground, err error) {
	g = &ground{Options: o, meter: &wire.Meter{}, requests: &atomic.Int64{}}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.shelf, err = newShelf(); err != nil {
		return g, err
	}
	count := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.requests.Add(1)
			next.ServeHTTP(w, r)
		})
	}
	g.git, err = stage.NewGitServer(filepath.Join(o.Dir, "git"), stage.GitOptions{Wrap: count, Listen: g.meter.Listen})
	if err != nil {
		return g, err
	}
	fmt.Fprintf(o.Out, "making a repository of %d files and %d refs\n", files+otherFiles, otherRefs)
	return g, g.repositories()
}

func (g *ground) close() {
	if g.shelf != nil {
		g.shelf.server.Close()
	}
	if g.git != nil {
		g.git.Close()
	}
}

// act measures one run of a program, and what it asked of the servers.
func (g *ground) act(ctx context.Context, repository, program string, args ...string) (Cost, error) {
	before := g.now(repository)
	u, err := g.Run(ctx, program, args...)
	if err != nil {
		return Cost{}, err
	}
	c := g.now(repository).since(before)
	c.Seconds, c.CPU, c.PeakBytes = u.Seconds, u.CPU, u.PeakBytes
	return c, nil
}

// now is what the servers have counted.
func (g *ground) now(repository string) Cost {
	c := Cost{
		GitRequests: g.requests.Load(), GitReceived: g.meter.Received(), GitSent: g.meter.Sent(),
		RegistryRequests: g.shelf.requests.Load(), RegistryBytes: g.shelf.meter.Total(),
	}
	out, err := stage.Git(g.git.Path(repository), "rev-list", "--count", "main")
	if err == nil {
		_, _ = fmt.Sscan(out, &c.Commits) // git prints a number
	}
	return c
}

func (c Cost) since(before Cost) Cost {
	c.GitRequests -= before.GitRequests
	c.GitReceived -= before.GitReceived
	c.GitSent -= before.GitSent
	c.RegistryRequests -= before.RegistryRequests
	c.RegistryBytes -= before.RegistryBytes
	c.Commits -= before.Commits
	return c
}

// repeat takes the median of runs, by seconds; the other figures are those of that run.
func (g *ground) repeat(act string, run func() (Cost, error)) (Cost, error) {
	fmt.Fprintln(g.Out, act)
	var all []Cost
	for range g.Runs {
		c, err := run()
		if err != nil {
			return c, fmt.Errorf("%s: %w", act, err)
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Cost) int { return compare(a.Seconds, b.Seconds) })
	c := all[(len(all)-1)/2]
	c.Act = act
	return c, nil
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// limit notes the budget: an idle poll moves at most twice what git asks for one ref, one update
// takes 0.3 s and 1 MB, a hundred take 1 s and are one commit.
func limit(passes []Cost) {
	var poll int64
	for _, c := range passes {
		if c.Act == actRefs {
			poll = c.gitBytes()
		}
	}
	for i := range passes {
		switch c := &passes[i]; {
		case strings.HasPrefix(c.Act, actWatch):
			c.LimitBytes = 2 * poll
		case c.Act == actOne:
			c.LimitSeconds, c.LimitBytes, c.LimitCommits = 0.3, 1<<20, 1
		case c.Act == actMany:
			c.LimitSeconds, c.LimitCommits = 1, 1
		}
	}
}
