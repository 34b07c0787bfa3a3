package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/user"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
)

type imagesHoldOptions struct {
	at     holdsPlace
	reason string
	until  string
}

func newImagesHoldCommand(s streams) *cobra.Command {
	var o imagesHoldOptions
	cmd := &cobra.Command{
		Use:   "hold IMAGE [VERSION] --reason TEXT",
		Short: "Keep sealift automate from writing a version of an image",
		Long: `Write an entry to ` + hold.Path + `, and commit and push it; with --dir, write it
to a folder, without Git. Every other byte of the file stays. IMAGE is what markers
call the image: NAMESPACE:NAME, or NAME where both are the same. VERSION is a tag, a
version or a range; without it, every version is held.`,
		Example: `  sealift images hold shop 1.4.2 --reason "loses orders" --repo https://git.example.com/deploy.git
  sealift images hold shop:web '>=2.0.0' --reason "after the sale" --until 2026-12-01 --dir .`,
		Args: imageArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args) },
	}
	flags := cmd.Flags()
	o.at.register(flags)
	flags.StringVar(&o.reason, "reason", "", "why (required); it is shown where the hold is")
	flags.StringVar(&o.until, "until", "", "when the hold ends: 2026-12-01, 2026-12-01T09:00:00Z, or from now on: 72h (default it does not end)")
	return cmd
}

func (o *imagesHoldOptions) run(ctx context.Context, s streams, args []string) error {
	if o.reason == "" {
		return usage(errors.New("--reason is missing; hint: people who meet the hold want to know"))
	}
	until, err := parseUntil(o.until, time.Now())
	if err != nil {
		return usage(err)
	}
	e := entryOf(args, o.at.by())
	e.Reason, e.Until = o.reason, until
	met := false
	err = o.at.change(ctx, func(data []byte, known *ledger.Ledger) ([]byte, string, error) {
		met = known != nil && known.Knows(e.Image)
		out, err := hold.Add(data, e)
		return out, "Hold " + named(e) + "\n\n" + oneLine(e.Reason) + "\n", err
	})
	if err == nil {
		fmt.Fprintf(s.Err, "%s is held\n", named(e))
		if !met && !names(o.at.config, e.Image) {
			fmt.Fprintf(s.Err, "%s does not name %s, and no pass has met it; hint: NAMESPACE:NAME, as in markers\n", v1alpha1.ConfigFile, oneLine(e.Image))
		}
	}
	return err
}

// names says that a sealift.yaml has an image, or cannot be read.
func names(config []byte, image string) bool {
	var file struct {
		Automate struct {
			Images []struct{ Name, Namespace string } `json:"images"`
		} `json:"automate"`
	}
	if err := yaml.Unmarshal(config, &file); err != nil {
		return true
	}
	for _, i := range file.Automate.Images {
		if cmp.Or(i.Namespace, i.Name)+":"+i.Name == image {
			return true
		}
	}
	return false
}

// imageArgs are IMAGE and, maybe, VERSION.
func imageArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 2 {
		return nil
	}
	return exactly(1, cmd, args)
}

// entryOf is about IMAGE and VERSION as they are given.
func entryOf(args []string, by string) hold.Entry {
	e := hold.Entry{Image: hold.FullName(args[0]), By: by, Since: time.Now().UTC().Truncate(time.Second)}
	if len(args) > 1 {
		e.Version = args[1]
	}
	return e
}

// named is what an entry is about, for people.
func named(e hold.Entry) string {
	if e.Version == "" {
		return oneLine(e.Image)
	}
	return oneLine(e.Image + " " + e.Version)
}

func parseUntil(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		text = now.Add(d).UTC().Format(time.RFC3339)
	}
	until, err := hold.ParseTime(text)
	switch {
	case err != nil:
		return until, fmt.Errorf("--until: %w, or 72h", err)
	case !until.IsZero() && !until.After(now):
		return until, fmt.Errorf("--until: %s is over", until.Format(time.RFC3339))
	}
	return until, nil
}

func newImagesReleaseCommand(s streams) *cobra.Command {
	var at holdsPlace
	cmd := &cobra.Command{
		Use:   "release IMAGE [VERSION]",
		Short: "Let sealift automate write a version again",
		Long: `Take the holds on an image out of ` + hold.Path + `, or that of VERSION alone, and
commit and push it; with --dir, in a folder, without Git. Automatic holds, such as
those of a revert, are lifted by an entry in the same file: it counts for what was
held before, and not for the next revert.`,
		Example: `  sealift images release shop --repo https://git.example.com/deploy.git
  sealift images release shop:web '>=2.0.0' --dir .`,
		Args: imageArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runRelease(cmd.Context(), s, &at, args) },
	}
	at.register(cmd.Flags())
	return cmd
}

func runRelease(ctx context.Context, s streams, at *holdsPlace, args []string) error {
	e := entryOf(args, at.by())
	var removed []hold.Entry
	lifts := 0
	err := at.change(ctx, func(data []byte, known *ledger.Ledger) ([]byte, string, error) {
		automatic := automaticHolds(known, e.Image)
		e.Since = notBefore(e.Since, automatic)
		out, gone, err := hold.Release(data, e, len(automatic) > 0)
		if err == nil && len(gone) == 0 && len(automatic) == 0 {
			// Who cannot see the ledger may know of an automatic hold all the same.
			out, gone, err = hold.Release(data, e, known == nil)
		}
		removed, lifts = gone, len(automatic)
		return out, "Release " + named(e) + "\n", err
	})
	if err != nil {
		return err
	}
	for _, r := range removed {
		fmt.Fprintf(s.Err, "%s is not held by hand any more\n", named(r))
	}
	switch {
	case lifts > 0:
		fmt.Fprintf(s.Err, "%s: automatic holds lifted: %d\n", named(e), lifts)
	case len(removed) == 0 && at.dir != "":
		fmt.Fprintf(s.Err, "%s is not held by hand; automatic holds are lifted once %s is pushed\n", named(e), hold.Path)
	case len(removed) == 0:
		fmt.Fprintf(s.Err, "%s is not held\n", named(e))
	}
	return nil
}

// notBefore lets a release lift what it can see, whatever the clocks of both machines show.
func notBefore(since time.Time, holds []hold.Hold) time.Time {
	for _, h := range holds {
		if h.Since.After(since) {
			since = h.Since
		}
	}
	return since
}

// automaticHolds are those that the ledger has on one image.
func automaticHolds(known *ledger.Ledger, image string) []hold.Hold {
	if known == nil || known.Images[image] == nil {
		return nil
	}
	return known.Images[image].Holds
}

func newImagesHoldsCommand(s streams) *cobra.Command {
	var at holdsPlace
	var output string
	cmd := &cobra.Command{
		Use:   "holds",
		Short: "List which versions of images are held, and why",
		Long: `List the holds that people wrote to ` + hold.Path + `, and the automatic ones that
the last pass of sealift automate left in ` + ledger.Ref("BRANCH") + `. With --dir, the first alone.`,
		Example: `  sealift images holds --repo https://git.example.com/deploy.git
  sealift images holds --dir . -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runHolds(cmd.Context(), s, &at, output) },
	}
	at.register(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: json")
	return cmd
}

func runHolds(ctx context.Context, s streams, at *holdsPlace, output string) error {
	if err := checkOutput(output, "", "json"); err != nil {
		return err
	}
	data, known, err := at.read(ctx)
	if err != nil {
		return err
	}
	holds, err := listHolds(data, known, time.Now())
	if err != nil {
		return err
	}
	if output == "json" {
		return printJSON(s.Out, holds)
	}
	if len(holds) == 0 {
		if at.dir != "" {
			fmt.Fprintln(s.Err, "nothing is held by hand; hint: --repo also shows what reverts hold")
			return nil
		}
		fmt.Fprintln(s.Err, "nothing is held")
		return nil
	}
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tVERSIONS\tKIND\tSINCE\tUNTIL\tBY\tREASON")
	for _, h := range holds {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(h.Image), h.What(), h.Kind, date(h.Since), date(h.Until), oneLine(h.By), oneLine(h.Reason))
	}
	return table.Flush()
}

// listHolds are all holds in force, by image.
func listHolds(data []byte, known *ledger.Ledger, now time.Time) ([]hold.Hold, error) {
	var file hold.File
	if data != nil {
		var err error
		if file, err = hold.Parse(data); err != nil {
			return nil, err
		}
	}
	images := map[string]bool{}
	for _, e := range file.Holds {
		images[hold.FullName(e.Image)] = true
	}
	if known != nil {
		for image := range known.Images {
			images[image] = true
		}
	}
	holds := []hold.Hold{}
	for _, image := range slices.Sorted(maps.Keys(images)) {
		for _, h := range file.InForce(image, automaticHolds(known, image), now) {
			h.Image = image
			holds = append(holds, h)
		}
	}
	return holds, nil
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// by is who holds and releases.
func (at *holdsPlace) by() string {
	if at.author.Name != defaultAuthor {
		return at.author.Name
	}
	who, err := user.Current()
	if err != nil {
		return ""
	}
	return oneLine(who.Username)
}
