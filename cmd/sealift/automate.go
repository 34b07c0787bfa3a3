package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sealift.dev/automator"
)

type automateOptions struct {
	automator automator.Options
	once      bool
	watch     bool
	interval  time.Duration
	output    string
}

func newAutomateCommand(s streams) *cobra.Command {
	var o automateOptions
	cmd := &cobra.Command{
		Use:   "automate --repo URL",
		Short: "Commit newer image versions to a Git repository",
		Long: `Read sealift.yaml at the tip of a branch, list the tags of the images it names,
choose the newest version in each range, edit the marked values, and push one
commit. A push that comes too late is made again on the new tip.

Credentials for Git are read from ` + gitUsernameVar + ` and
` + gitPasswordVar + `, those for registries from Docker's configuration.`,
		Example: `  # See what would change
  sealift automate --repo https://git.example.com/deploy.git --branch main --dry-run

  # One pass, as a CI job
  sealift automate --repo https://git.example.com/deploy.git --branch main

  # For ever, as a Deployment
  sealift automate --repo https://git.example.com/deploy.git --branch main --watch --interval 1m`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.automator.Repo, "repo", "", "URL of the Git repository (required)")
	flags.StringVar(&o.automator.Branch, "branch", "", "branch to read and push (default what sealift.yaml names)")
	flags.BoolVar(&o.once, "once", false, "make one pass; this is the default")
	flags.BoolVar(&o.watch, "watch", false, "make a pass every interval until stopped")
	flags.DurationVar(&o.interval, "interval", time.Minute, "time between two passes, with --watch")
	flags.BoolVar(&o.automator.DryRun, "dry-run", false, "print the diff and push nothing")
	flags.BoolVar(&o.automator.PlainHTTP, "plain-http", false, "allow plain HTTP to Git servers and registries on other machines")
	flags.StringVar(&o.automator.Author.Name, "author-name", "Sealift", "author of the commits")
	flags.StringVar(&o.automator.Author.Email, "author-email", "automator@sealift.dev", "author's e-mail address")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

func (o *automateOptions) run(ctx context.Context, s streams) error {
	switch {
	case o.automator.Repo == "":
		return usage(errors.New("--repo is missing; hint: --repo https://git.example.com/deploy.git"))
	case o.once && o.watch:
		return usage(errors.New("--once and --watch exclude each other"))
	case o.watch && o.interval < time.Second:
		return usage(errors.New("--interval is at least 1s"))
	case o.output != "" && o.output != "json":
		return usage(errors.New(`-o: only "json" is known`))
	}
	o.automator.Username, o.automator.Password = os.Getenv(gitUsernameVar), os.Getenv(gitPasswordVar)
	if o.watch {
		return automator.Watch(ctx, o.automator, o.interval, func(result automator.Result, err error) {
			if printed := o.print(s, result, err != nil); err == nil {
				err = printed
			}
			if err != nil {
				fmt.Fprintf(s.Err, "sealift: %s\n", printable(err.Error()))
			}
		})
	}
	result, err := automator.Run(ctx, o.automator)
	return errors.Join(err, o.print(s, result, err != nil))
}

// print writes data to Out: JSON, or the diff of a dry run. The rest is for people.
func (o *automateOptions) print(s streams, result automator.Result, failed bool) error {
	if result.Tip == "" {
		return nil // it did not get as far as a tip; the error says why
	}
	if o.output == "json" {
		return printJSON(s.Out, automation(result))
	}
	for _, image := range result.Images {
		if image.Err == nil && image.Reason != "" { // an error is told by the exit
			fmt.Fprintf(s.Err, "%s: %s\n", image.Name, printable(image.Reason))
		}
	}
	for _, note := range result.Notes {
		fmt.Fprintf(s.Err, "%s:%d: %s\n", printable(note.File), note.Line, printable(note.Reason))
	}
	for _, change := range result.Changes {
		fmt.Fprintf(s.Err, "%s:%d: %s → %s\n", printable(change.File), change.Line, printable(change.Old), printable(change.New))
	}
	switch {
	case result.Pushed:
		fmt.Fprintf(s.Err, "pushed %.7s to %s\n", result.Commit, printable(result.Branch))
	case len(result.Changes) > 0:
		fmt.Fprintf(s.Err, "dry run: nothing was pushed to %s\n", printable(result.Branch))
	case !failed:
		fmt.Fprintf(s.Err, "nothing to do: %s at %.7s is up to date\n", printable(result.Branch), result.Tip)
	}
	_, err := io.WriteString(s.Out, result.Diff)
	return err
}

// automation is a Result as programs read it.
func automation(r automator.Result) any {
	type change struct {
		File  string `json:"file"`
		Line  int    `json:"line"`
		Image string `json:"image"`
		Old   string `json:"old"`
		New   string `json:"new"`
	}
	type note struct {
		File   string `json:"file"`
		Line   int    `json:"line,omitempty"`
		Image  string `json:"image,omitempty"`
		Reason string `json:"reason"`
	}
	type image struct {
		Name   string `json:"name"`
		Image  string `json:"image"`
		Tag    string `json:"tag,omitempty"`
		Tags   int    `json:"tags"`
		Reason string `json:"reason,omitempty"`
		Error  string `json:"error,omitempty"`
	}
	out := struct {
		Branch  string   `json:"branch"`
		Tip     string   `json:"tip"`
		Commit  string   `json:"commit,omitempty"`
		Pushed  bool     `json:"pushed"`
		Changes []change `json:"changes"`
		Images  []image  `json:"images"`
		Notes   []note   `json:"notes,omitempty"`
		Diff    string   `json:"diff,omitempty"` // with --dry-run
	}{Branch: r.Branch, Tip: r.Tip, Commit: r.Commit, Pushed: r.Pushed, Diff: r.Diff, Changes: []change{}, Images: []image{}}
	for _, c := range r.Changes {
		out.Changes = append(out.Changes, change{c.File, c.Line, c.Image, c.Old, c.New})
	}
	for _, n := range r.Notes {
		out.Notes = append(out.Notes, note{n.File, n.Line, n.Image, n.Reason})
	}
	for _, i := range r.Images {
		shown := image{Name: i.Name, Image: i.Image, Tag: i.Tag, Tags: i.Tags, Reason: i.Reason}
		if i.Err != nil {
			shown.Error = i.Err.Error()
		}
		out.Images = append(out.Images, shown)
	}
	return out
}
