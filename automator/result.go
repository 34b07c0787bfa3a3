package automator

import "time"

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
	Part     string // of the image's reference, that the value is: ref, tag, name, digest
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
	Findings []string  // what policies in Audit mode would have refused
	Tags     int       // tags seen
	Refusals []Refusal // of better tags
	Holds    []string  // what people hold, and why
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
