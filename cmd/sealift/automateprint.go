package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"sealift.dev/automator"
)

// print writes data to Out: JSON, or the diff of a dry run. The rest is for people.
func (o *automateOptions) print(s streams, result automator.Result, failed bool) error {
	if result.Tip == "" {
		return nil // it did not get as far as a tip; the error says why
	}
	if o.output == "json" {
		return printJSON(s.Out, automation(result))
	}
	for _, image := range result.Images {
		printImage(s.Err, image)
	}
	for _, note := range result.Notes {
		printNote(s.Err, note)
	}
	for _, change := range result.Changes {
		fmt.Fprintf(s.Err, "%s:%d: %s → %s\n", printable(change.File), change.Line, printable(change.Old), printable(change.New))
	}
	for _, pull := range result.Pulls {
		printPull(s.Err, pull)
	}
	o.printEnd(s.Err, result, failed)
	_, err := io.WriteString(s.Out, result.Diff)
	return err
}

func printImage(w io.Writer, image automator.ImageReport) {
	if image.Err != nil {
		return // the exit tells
	}
	for _, refusal := range image.Refusals {
		tag := refusal.Tag
		if tag == "" {
			tag = "every tag"
		}
		fmt.Fprintf(w, "%s: %s refused by %s: %s\n", image.Name, printable(tag), refusal.Gate, printable(refusal.Reason))
	}
	if image.Reason != "" && len(image.Refusals) == 0 {
		fmt.Fprintf(w, "%s: %s\n", image.Name, printable(image.Reason))
	}
	for _, hold := range image.Holds {
		if !slices.ContainsFunc(image.Refusals, func(r automator.Refusal) bool { return r.Reason == hold }) {
			fmt.Fprintf(w, "%s: held: %s\n", image.Name, printable(hold))
		}
	}
	for _, finding := range image.Findings {
		fmt.Fprintf(w, "%s: %s passes for trial: %s\n", image.Name, printable(image.Tag), printable(finding))
	}
}

func printNote(w io.Writer, note automator.Note) {
	if note.File == "" {
		fmt.Fprintln(w, printable(note.Reason))
		return
	}
	where := note.File
	if note.Line > 0 {
		where = fmt.Sprintf("%s:%d", note.File, note.Line)
	}
	fmt.Fprintf(w, "%s: %s\n", printable(where), printable(note.Reason))
}

func printPull(w io.Writer, pull automator.PullRequest) {
	if pull.Action == "" && pull.Reason == "" {
		return
	}
	where := pull.URL
	if where == "" {
		where = "of " + pull.Branch
	}
	action := pull.Action
	if action == "" {
		action = "left as it is"
	}
	fmt.Fprintf(w, "pull request %s %s", printable(where), action)
	if pull.Reason != "" {
		fmt.Fprintf(w, ": %s", printable(pull.Reason))
	}
	fmt.Fprintln(w)
	for _, note := range pull.Notes {
		fmt.Fprintf(w, "pull request %s: %s\n", printable(where), printable(note))
	}
}

func (o *automateOptions) printEnd(w io.Writer, result automator.Result, failed bool) {
	branch := result.Branch
	if result.Target != "" {
		branch = result.Target
	}
	switch {
	case result.Pushed:
		fmt.Fprintf(w, "pushed %.7s to %s\n", result.Commit, printable(branch))
	case len(result.Changes) > 0 && o.dryRun:
		fmt.Fprintf(w, "dry run: nothing was pushed to %s\n", printable(branch))
	case !failed && result.Target != "" && len(result.Changes) > 0:
		fmt.Fprintf(w, "nothing was pushed to %s\n", printable(branch))
	case !failed && len(result.Changes) == 0:
		fmt.Fprintf(w, "nothing to do: %s at %.7s is up to date\n", printable(result.Branch), result.Tip)
	}
}

// automation is a Result as programs read it.
func automation(r automator.Result) any {
	out := report{
		Repository: r.Repo, Branch: r.Branch, Target: r.Target, Tip: r.Tip, Commit: r.Commit, Pushed: r.Pushed, Attempts: r.Attempts, Diff: r.Diff,
		Commits: []commitReport{}, Changes: []changeReport{}, Images: []imageReport{},
	}
	for _, c := range r.Commits {
		out.Commits = append(out.Commits, commitReport(c))
	}
	for _, c := range r.Changes {
		out.Changes = append(out.Changes, changeReport(c))
	}
	for _, n := range r.Notes {
		out.Notes = append(out.Notes, noteReport(n))
	}
	for _, p := range r.Pulls {
		out.Pulls = append(out.Pulls, pullReport(p))
	}
	for _, i := range r.Images {
		shown := imageReport{
			Name: i.Name, Image: i.Image, Group: i.Group, Source: i.Source, Tag: i.Tag, Digest: i.Digest, Signers: i.Signers, Findings: i.Findings,
			Tags: i.Tags, Holds: i.Holds, Until: i.Until, Reason: i.Reason,
		}
		for _, refusal := range i.Refusals {
			shown.Refusals = append(shown.Refusals, refusalReport(refusal))
		}
		if i.Err != nil {
			shown.Error = i.Err.Error()
		}
		out.Images = append(out.Images, shown)
	}
	return out
}

type report struct {
	Repository string         `json:"repository"`
	Branch     string         `json:"branch"`
	Target     string         `json:"target,omitempty"` // the branch that is pushed to, where it is another
	Tip        string         `json:"tip"`
	Commit     string         `json:"commit,omitempty"`
	Pushed     bool           `json:"pushed"`
	Attempts   int            `json:"attempts"`
	Commits    []commitReport `json:"commits"`
	Changes    []changeReport `json:"changes"`
	Images     []imageReport  `json:"images"`
	Pulls      []pullReport   `json:"pullRequests,omitempty"`
	Notes      []noteReport   `json:"notes,omitempty"`
	Diff       string         `json:"diff,omitempty"` // with --dry-run
}

type commitReport struct {
	Group   string `json:"group,omitempty"`
	ID      string `json:"id,omitempty"` // empty with --dry-run
	Message string `json:"message"`
}

type changeReport struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Image  string `json:"image"`
	Part   string `json:"part"`
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
	Old    string `json:"old"`
	New    string `json:"new"`
}

type noteReport struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Image  string `json:"image,omitempty"`
	Reason string `json:"reason"`
}

type pullReport struct {
	Group  string   `json:"group,omitempty"`
	Branch string   `json:"branch"`
	Number int64    `json:"number,omitempty"`
	URL    string   `json:"url,omitempty"`
	Commit string   `json:"commit,omitempty"`
	Action string   `json:"action,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Notes  []string `json:"notes,omitempty"`
}

type refusalReport struct {
	Tag    string `json:"tag,omitempty"`
	Gate   string `json:"gate"`
	Reason string `json:"reason"`
}

type imageReport struct {
	Name     string          `json:"name"`
	Image    string          `json:"image"`
	Group    string          `json:"group,omitempty"`
	Source   string          `json:"source"`
	Tag      string          `json:"tag,omitempty"`
	Digest   string          `json:"digest,omitempty"`
	Signers  []string        `json:"signers,omitempty"`
	Findings []string        `json:"findings,omitempty"` // of policies in Audit mode
	Tags     int             `json:"tags"`
	Refusals []refusalReport `json:"refusals,omitempty"`
	Holds    []string        `json:"holds,omitempty"`
	Until    time.Time       `json:"until,omitzero"`
	Reason   string          `json:"reason,omitempty"`
	Error    string          `json:"error,omitempty"`
}
