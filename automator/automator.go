// Package automator turns a newer container image into a Git commit: it lists
// the tags of the images that sealift.yaml names, chooses the newest version
// in each range, and edits the marked values at the tip of one branch.
package automator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"sealift.dev/automator/registry"
	"sealift.dev/automator/remote"
	"sealift.dev/verify"
)

// Limits of one run.
const (
	maxAttempts = 10              // pushes before a conflict is reported
	maxStalled  = 3               // refusals of an unmoved branch before giving up
	runTimeout  = 5 * time.Minute // for a whole run
)

// Options say what is automated. Only Repo is required.
type Options struct {
	// Repo is the Git URL: https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, or http://
	// on this machine.
	Repo string
	// Branch is read from and pushed to. Empty: what sealift.yaml on the
	// remote's default branch names, else that default branch.
	Branch string
	// Git says how the repository is reached; its URL is Repo.
	Git remote.Options
	// Config is read instead of the tree's sealift.yaml. Nil: that counts.
	Config []byte
	// Author of commits, where sealift.yaml names none. Zero: Sealift <automator@sealift.dev>.
	Author Author
	// DryRun computes the commits and their diff, and pushes nothing.
	DryRun bool
	// Registry lists tags; repositories of one process share it. Nil: one of their own.
	Registry *registry.Client
	// Forge is the API of pull requests.
	Forge Forge
	// Trust verifies images. Zero: images that ask for it are refused.
	Trust Trust
	// ScanEvery is how long a list of tags counts where Run is called more often, and no
	// hint came. Zero: it is made in each Run.
	ScanEvery time.Duration
	// Now is the clock of cool-downs and windows. Nil: time.Now.
	Now func() time.Time
}

// Trust is what images are verified with.
type Trust struct {
	Verifier *verify.Verifier
	Registry verify.Registry // where signatures are read
	// Policies must pass for every image, beside those that sealift.yaml names for it.
	Policies []verify.NamedPolicy
}

// Author is a commit's author and committer.
type Author struct{ Name, Email string }

// Run makes one pass over a repository, see Automator.Run.
func Run(ctx context.Context, opts Options) (Result, error) {
	a, err := New(opts)
	if err != nil {
		return Result{}, err
	}
	defer a.Close()
	return a.Run(ctx)
}

// Automator keeps one repository. One Run at a time; Hint may be called at any time.
type Automator struct {
	opts  Options
	git   *remote.Repository
	scans *scans

	// What the last passes found; losing it costs time.
	runs    int
	named   string // the branch that sealift.yaml names
	base    *remote.Snapshot
	reading *reading
	plain   map[string]bool // blobs that hold nothing of interest
	past    past
	state   state
	forge   openForge

	stateInBranch bool  // the server takes the ledger below refs/heads only
	stateRefused  error // it does not take it
	refusedAt     time.Time
	unsaved       unsaved
	apart         bool // it does not take the ledger together with the branch
}

// New checks the options. It speaks to nobody yet.
func New(opts Options) (*Automator, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	git, err := remote.Open(opts.Git)
	if err != nil {
		return nil, err
	}
	return &Automator{opts: opts, git: git, scans: newScans(), plain: map[string]bool{}}, nil
}

// Close hangs up connections that are kept between runs. The Automator can be used again.
func (a *Automator) Close() { a.git.Close() }

// Traffic is what has been exchanged with the Git server so far.
func (a *Automator) Traffic() remote.Traffic { return a.git.Traffic() }

// Run makes one pass: read the tip, choose, edit, push. A push that comes too late is made
// again on the new tip, up to ten times. An image whose tags cannot be listed does not hold up
// the others: Run then returns a complete Result beside the error.
func (a *Automator) Run(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	a.runs++
	refused := refusal{}
	for attempt := 1; ; attempt++ {
		result, err := a.pass(ctx)
		result.Attempts = attempt
		if !isRejected(err) {
			return result, errors.Join(err, failures(result.Images))
		}
		result.Commit, result.Commits = "", nil
		if attempt == maxAttempts || refused.stalled(result.Tip) {
			return result, fmt.Errorf("pushing to %s of %s, attempt %d: %w%s", result.target(), a.opts.Repo, attempt, err, refused.hint())
		}
		if err := sleep(ctx, rand.N(backoff(attempt))); err != nil {
			return result, fmt.Errorf("pushing to %s of %s: %w", result.target(), a.opts.Repo, err)
		}
	}
}

// pass is one attempt, on the tip as it is now.
func (a *Automator) pass(ctx context.Context) (Result, error) {
	t, err := a.read(ctx)
	if err != nil {
		return a.result(t), err
	}
	if err := a.settlePulls(ctx, t); err != nil {
		return a.result(t), err
	}
	return a.finish(ctx, t)
}

// finish makes of what was read what is to be done, and does it.
func (a *Automator) finish(ctx context.Context, t *turn) (Result, error) {
	a.scan(ctx, t)
	writes, err := a.choose(ctx, t)
	if err != nil {
		return a.result(t), err
	}
	result := a.result(t)
	result.Images = t.reports()
	groups := t.groups(writes)
	if err := t.describe(groups, result.Images); err != nil {
		return result, err
	}
	err = a.deliver(ctx, t, groups, writes, &result)
	result.Notes = t.notes
	return result, err
}

// choose decides what is written. A tag that moved while it was checked is not.
func (a *Automator) choose(ctx context.Context, t *turn) ([]write, error) {
	for {
		a.decide(ctx, t)
		writes, notes := t.writes()
		moved, err := a.checkMoved(ctx, t, writes)
		if err != nil || !moved {
			t.notes = append(t.notes, notes...)
			return writes, err
		}
	}
}

// deliver takes the edits to people: as commits, or as pull requests.
func (a *Automator) deliver(ctx context.Context, t *turn, groups []group, writes []write, result *Result) error {
	for _, g := range groups {
		result.Changes = append(result.Changes, g.changes...)
	}
	slices.SortStableFunc(result.Changes, func(a, b Change) int { return compareAt(a.File, a.Line, b.File, b.Line) })
	if a.opts.DryRun {
		return a.preview(ctx, t, groups, writes, result)
	}
	if t.settings.pulls != nil {
		var err error
		if result.Pulls, err = a.requestPulls(ctx, t, groups); isRejected(err) {
			return err
		}
		return errors.Join(err, a.push(ctx, t, remote.Pending{}))
	}
	t.settle()
	leave, note, err := a.leaveAlone(ctx, t, groups, writes)
	if note != "" {
		t.notes = append(t.notes, Note{Reason: note})
	}
	if err != nil || leave {
		return errors.Join(err, a.push(ctx, t, remote.Pending{}))
	}
	commit, err := a.commit(ctx, t, groups, writes, result)
	if err != nil {
		return err
	}
	if err := a.push(ctx, t, commit); err != nil {
		return err
	}
	result.Commit, result.Pushed = commit.ID(), commit.ID() != ""
	return nil
}

// preview shows what would be written.
func (a *Automator) preview(ctx context.Context, t *turn, groups []group, writes []write, result *Result) error {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
		if len(g.files) > 0 {
			result.Message = g.message
			result.Commits = append(result.Commits, Commit{Group: g.name, Message: g.message})
		}
	}
	all, _ := t.apply(writes, names...)
	var err error
	result.Diff, err = t.tree.Diff(ctx, all.files)
	return err
}

func (a *Automator) result(t *turn) Result {
	r := Result{Repo: a.opts.Repo}
	if t != nil {
		r.Branch, r.Tip, r.Notes = t.branch, t.tip, t.notes
		if t.target != t.branch {
			r.Target = t.target
		}
	}
	return r
}

func (r Result) target() string { return cmp.Or(r.Target, r.Branch) }

// author is who commits: as sealift.yaml says, else as the options do.
func (a *Automator) author(t *turn) remote.Author {
	if t.settings.author != (Author{}) {
		return remote.Author(t.settings.author)
	}
	return remote.Author(a.opts.Author)
}

// refusal counts rejected pushes to a branch that has not moved: those are not
// a race, and trying again does not help.
type refusal struct {
	tip   string
	count int
}

func (r *refusal) stalled(tip string) bool {
	if r.tip != tip {
		r.tip, r.count = tip, 0
	}
	r.count++
	return r.count >= maxStalled
}

func (r *refusal) hint() string {
	if r.count >= maxStalled {
		return "; hint: the branch did not move, so the server forbids this push: check its hooks and branch protection"
	}
	return "; hint: the branch moves faster than it can be pushed to: run again when it is quieter"
}

func failures(images []ImageReport) error {
	var errs []error
	for _, image := range images {
		errs = append(errs, image.Err)
	}
	return errors.Join(errs...)
}

func backoff(attempt int) time.Duration {
	return min(25*time.Millisecond<<attempt, 2*time.Second)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
