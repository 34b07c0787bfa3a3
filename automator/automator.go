// Package automator turns a newer container image into a Git commit: it lists
// the tags of the images that sealift.yaml names, chooses the newest version
// in each range, and edits the marked values at the tip of one branch.
package automator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

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
	// Username and Password authenticate to Git. Both empty: anonymous.
	Username, Password string
	// Git says how the repository is reached; its URL is Repo.
	Git remote.Options
	// Config is read instead of the tree's sealift.yaml. Nil: that counts.
	Config []byte
	// Author of commits, where sealift.yaml names none. Zero: Sealift <automator@sealift.dev>.
	Author Author
	// DryRun computes the commits and their diff, and pushes nothing.
	DryRun bool
	// PlainHTTP allows http:// to hosts other than this machine, for Git and registries.
	PlainHTTP bool
	// Registry lists tags; repositories of one process share it. Nil: one of their own.
	Registry *registry.Client
	// Trust verifies images. Zero: images that ask for it are refused.
	Trust Trust
	// ScanEvery is how long a list of tags counts where Run is called more often, and no
	// hint came. Zero: it is made in each Run.
	ScanEvery time.Duration
	// Now is the clock of cool-downs and windows. Nil: time.Now.
	Now func() time.Time
	// Keychain authenticates to registries. Nil: Docker's configuration and helpers.
	Keychain authn.Keychain
	// Transport carries every request. Nil: one with time-outs of its own.
	Transport http.RoundTripper
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

// Result is what a run found and did.
type Result struct {
	Repo     string // its URL, as in Options
	Branch   string // that was read
	Target   string // the branch that was pushed to, where it is another one; empty: Branch
	Tip      string // the commit that was read, in hex
	Commit   string // the last commit that was pushed, in hex; empty if none
	Commits  []Commit
	Message  string        // of the last commit, also of one that DryRun did not push
	Diff     string        // unified; only with DryRun
	Attempts int           // tips that were read, at least 1
	Pushed   bool          // whether the branch has moved
	Changes  []Change      // in the order of files and lines
	Notes    []Note        // what was left alone, and why
	Images   []ImageReport // one per image followed, in the order of sealift.yaml
	Pulls    []PullRequest // one per group that has one; only with automate.pullRequests
}

// Commit is what was written for one group.
type Commit struct {
	Group   string // empty: of the images that name none
	ID      string // in hex
	Message string
}

// Change is one edited value.
type Change struct {
	File     string
	Line     int    // from 1
	Image    string // NAMESPACE:NAME, as in the marker
	Tag      string // chosen; empty where only the repository is written
	Digest   string // chosen; empty where none is written
	Old, New string
}

// Note says why a file or a marked value was left alone. Line 0 is the whole file.
type Note struct {
	File   string
	Line   int
	Image  string
	Reason string
}

// ImageReport is what was found out about one image.
type ImageReport struct {
	Name     string // NAMESPACE:NAME, as in the marker
	Image    string // the repository
	Group    string
	Source   string // the file that names the image
	Tag      string // the best that may be written; empty if there is none
	Digest   string // of Tag, where it was asked for
	Signers  []string
	Tags     int       // tags seen
	Refusals []Refusal // of better tags
	Until    time.Time // when a refusal may end by itself; zero: none will
	Reason   string    // why nothing was changed; empty if something was, or is up to date
	Err      error     // set if the tags could not be listed
}

// Refusal says why a tag was not written.
type Refusal struct {
	Tag    string
	Gate   string // hold, window, age, platform, trust, downgrade, list
	Reason string
}

// Run makes one pass: read the tip, choose, edit, push one commit. A push that
// comes too late is made again on the new tip, up to ten times. An image whose
// tags cannot be listed does not hold up the others: Run then returns a
// complete Result beside the error.
func Run(ctx context.Context, opts Options) (Result, error) {
	a, err := open(opts)
	if err != nil {
		return Result{}, err
	}
	return a.run(ctx)
}

// Watch runs at once and then every interval, with jitter, until ctx is done.
// Each outcome goes to report; an error does not end the watch.
func Watch(ctx context.Context, opts Options, interval time.Duration, report func(Result, error)) error {
	a, err := open(opts)
	if err != nil {
		return err
	}
	for {
		result, err := a.run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		report(result, err)
		if sleep(ctx, interval+rand.N(interval/10+1)) != nil {
			return nil
		}
	}
}

// Automator is one repository and the options to work on it.
type Automator struct {
	opts    Options
	git     *repository
	scanner *scanner
}

func open(opts Options) (*Automator, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	git, err := openRepository(opts)
	if err != nil {
		return nil, err
	}
	scanner, err := newScanner(opts)
	if err != nil {
		return nil, err
	}
	return &Automator{opts: opts, git: git, scanner: scanner}, nil
}

func (a *Automator) run(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	branch, err := a.branch(ctx)
	if err != nil {
		return Result{}, err
	}
	images := images{} // tags are listed once, also when the push is made again
	refused := refusal{}
	for attempt := 1; ; attempt++ {
		result, err := a.try(ctx, branch, images)
		result.Attempts = attempt
		var rejected *rejectedError
		if !errors.As(err, &rejected) {
			return result, errors.Join(err, failures(result.Images))
		}
		if attempt == maxAttempts || refused.stalled(result.Tip) {
			result.Commit = ""
			return result, fmt.Errorf("pushing to %s of %s, attempt %d: %w%s", branch, a.opts.Repo, attempt, err, refused.hint())
		}
		if err := sleep(ctx, rand.N(backoff(attempt))); err != nil {
			return result, fmt.Errorf("pushing to %s of %s: %w", branch, a.opts.Repo, err)
		}
	}
}

// try makes the whole pass on the tip as it is now.
func (a *Automator) try(ctx context.Context, branch string, images images) (Result, error) {
	tip, err := a.git.fetch(ctx, branch)
	if err != nil {
		return Result{Branch: branch}, err
	}
	result := Result{Branch: branch, Tip: tip.Hash.String()}
	config, err := readConfig(a.git.objects, tip)
	if err != nil {
		return result, fmt.Errorf("%s of %s: %w", branch, a.opts.Repo, err)
	}
	a.scanner.scan(ctx, config, images)
	plan, err := planEdits(ctx, a.git.objects, tip, config, images)
	if err != nil {
		return result, err
	}
	result.Changes, result.Notes = plan.changes, plan.notes
	result.Images = report(config, images, plan)
	if len(plan.files) == 0 {
		return result, nil
	}
	result.Message = message(plan.changes)
	commit, err := a.git.commit(tip, plan.files, result.Message, a.opts.Author)
	if err != nil {
		return result, err
	}
	if a.opts.DryRun {
		result.Diff, err = a.git.diff(ctx, tip, commit.commit, plan.files)
		return result, err
	}
	if err := a.git.push(ctx, branch, tip, commit); err != nil {
		return result, err
	}
	result.Commit, result.Pushed = commit.commit.Hash.String(), true
	return result, nil
}

// branch is the branch to work on; a flag goes before sealift.yaml.
func (a *Automator) branch(ctx context.Context) (string, error) {
	if a.opts.Branch != "" {
		return a.opts.Branch, nil
	}
	name, err := a.git.defaultBranch(ctx)
	if err != nil {
		return "", err
	}
	tip, err := a.git.fetch(ctx, name)
	if err != nil {
		return "", err
	}
	config, err := readConfig(a.git.objects, tip)
	if err != nil {
		return "", fmt.Errorf("%s of %s: %w", name, a.opts.Repo, err)
	}
	if config.branch != "" {
		return config.branch, nil
	}
	return name, nil
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
	return min(20*time.Millisecond<<attempt, time.Second)
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
