package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sealift.dev/automator"
)

type automateOptions struct {
	git          gitFlags
	forge        forgeAccess
	trust        trustFlags
	network      networkFlags
	config       string
	dir          string
	repositories string
	author       automator.Author
	dryRun       bool
	once         bool
	output       string
	watch        watchFlags
}

func newAutomateCommand(s streams) *cobra.Command {
	var o automateOptions
	cmd := &cobra.Command{
		Use:   "automate [--repo URL | --repositories FILE | --dir DIR --dry-run]",
		Short: "Commit newer image versions to a Git repository",
		Long: `Read sealift.yaml and Flux's image documents at the tip of a branch, list the tags
of the images they name, choose what the policies ask for, let gates refuse, edit
the marked values, and push one commit per group, or open pull requests. A push
that comes too late is made again on the new tip.

Secrets are read from the environment: ` + gitUsernameVar + ` and
` + gitPasswordVar + ` for Git over HTTPS, ` + forgeTokenVar + ` for pull
requests, ` + sshPassphraseVar + ` and
` + signingPassphraseVar + ` for keys. Registries are logged in to by
Docker's configuration.

With --policy, --key or --certificate-identity, every image must pass that policy
as well as the one that sealift.yaml names for it.`,
		Example: `  # See what would change, and why not
  sealift automate --repo https://git.example.com/deploy.git --dry-run

  # The same for the commit that is checked out here; a Flux user's repository needs
  # nothing else
  sealift automate --dir . --dry-run

  # One pass, as a CI job
  sealift automate --repo https://git.example.com/deploy.git --branch main

  # For ever, as a Deployment, woken by the registry's notifications
  sealift automate --repo https://git.example.com/deploy.git --watch --interval 1m \
    --webhook-address :8080 --webhook-secret-file /etc/webhook/secret --metrics-address :8081

  # Over SSH, with signed commits
  sealift automate --repo git@git.example.com:acme/deploy.git --ssh-key id_ed25519 --signing-key id_ed25519`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	o.git.register(flags)
	o.forge.register(flags)
	flags.StringVar(&o.repositories, "repositories", "", "file that lists many repositories: url, branch, and the files of their secrets")
	flags.StringVar(&o.dir, "dir", "", "local repository whose HEAD is read instead, with --dry-run")
	flags.StringVar(&o.config, "config", "", "local file to read instead of the repository's sealift.yaml")
	flags.BoolVar(&o.once, "once", false, "make one pass; this is the default")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print the diff and push nothing")
	flags.StringVar(&o.author.Name, "author-name", "Sealift", "author of the commits, where sealift.yaml names none")
	flags.StringVar(&o.author.Email, "author-email", "automator@sealift.dev", "author's e-mail address")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp)) // fails without the flag
	o.watch.register(flags)
	o.trust.register(flags)
	o.network.register(flags)
	return cmd
}

func (o *automateOptions) check() error {
	ways := 0
	for _, given := range []string{o.git.repo, o.repositories, o.dir} {
		if given != "" {
			ways++
		}
	}
	switch {
	case ways == 0:
		return usage(errors.New("--repo is missing; hint: --repo https://git.example.com/deploy.git"))
	case ways > 1:
		return usage(errors.New("--repo, --repositories and --dir exclude each other"))
	case o.dir != "" && !o.dryRun:
		return usage(errors.New("--dir goes with --dry-run only: a local repository is not written"))
	case o.dir != "" && o.git.branch != "":
		return usage(errors.New("--dir and --branch exclude each other: what is checked out is read"))
	case o.watch.on && (o.dryRun || o.output != ""):
		return usage(errors.New("--watch excludes --dry-run and --output: it logs what it writes"))
	case o.once && o.watch.on:
		return usage(errors.New("--once and --watch exclude each other"))
	case o.repositories != "" && (o.git.branch != "" || o.config != "" || o.git.access != gitAccess{} || o.forge != forgeAccess{}):
		return usage(errors.New("--repositories says itself which branches and configurations there are, and how they are reached"))
	}
	if err := o.watch.check(); err != nil {
		return err
	}
	return checkOutput(o.output, "", "json")
}

func (o *automateOptions) run(ctx context.Context, s streams) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.dir != "" {
		return o.preview(ctx, s)
	}
	automators, watcher, err := o.open(ctx, s)
	if err != nil {
		return err
	}
	if o.watch.on {
		spareMemory(ctx)
		return watcher.run(ctx, automators)
	}
	var errs []error
	for i, a := range automators {
		result, err := a.Run(ctx)
		a.Close()
		if i > 0 && o.output == "" {
			fmt.Fprintln(s.Err)
		}
		errs = append(errs, err, o.print(s, result, err != nil))
	}
	return errors.Join(errs...)
}

// preview is a dry run on what is checked out here.
func (o *automateOptions) preview(ctx context.Context, s streams) error {
	opts, err := o.shared(ctx, nil)
	if err != nil {
		return err
	}
	if opts.Config, err = o.localConfig(o.config); err != nil {
		return err
	}
	result, err := automator.Preview(ctx, o.dir, opts)
	return errors.Join(err, o.print(s, result, err != nil))
}
