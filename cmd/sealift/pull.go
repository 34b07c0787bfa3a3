package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"sealift.dev/artifact"
	"sealift.dev/internal/folder"
	"sealift.dev/internal/objects"
	"sealift.dev/synchronizer"
	"sealift.dev/verify"
)

type pullOptions struct {
	registry    registryFlags
	trust       trustFlags
	to          string
	environment string
	watch       bool
	interval    time.Duration
	output      string
}

func newPullCommand(s streams) *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use:   "pull oci://HOST/REPOSITORY:TAG --to FOLDER",
		Short: "Verify a release, and unpack it to a folder",
		Long: `Verify a release, and unpack it to a folder. Nothing unverified is unpacked.
With --watch, the folder follows the tag: delivery without Kubernetes.

FOLDER is a symbolic link, which is replaced at once: who reads it sees the old
release or the new one, never both. The releases are in a folder beside it, with
a dot before its name; the release before the current one stays there for those
who still read it. The highest release accepted is remembered there too: an older
one is refused, unless a digest is given.`,
		Example: `  sealift pull oci://registry.example.com/deploy/shop:main --key cosign.pub --to shop

  # Keep /srv/shop at what the tag names
  sealift pull oci://registry.example.com/deploy/shop:main --policy trust.yaml \
    --to /srv/shop --environment prod --watch --interval 30s`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	flags := cmd.Flags()
	o.registry.register(flags)
	o.trust.register(flags)
	flags.StringVar(&o.to, "to", "", "the folder (required)")
	flags.StringVar(&o.environment, "environment", "", "unpack this folder of the release only, without its name (default all of it)")
	flags.BoolVar(&o.watch, "watch", false, "go on, and keep the folder at what the tag names")
	flags.DurationVar(&o.interval, "interval", 30*time.Second, "how often the registry is asked with --watch")
	flags.StringVarP(&o.output, "output", "o", "", "output format: json; with --watch a document for each change")
	return cmd
}

// pulled is what -o json prints.
type pulled struct {
	Folder   string          `json:"folder"`
	Changed  bool            `json:"changed"`
	Files    int             `json:"files"`
	Verified verify.Verified `json:"verified"`
}

func (o *pullOptions) run(ctx context.Context, s streams, written string) error {
	address, err := o.check(written)
	if err != nil {
		return err
	}
	verifier, policies, err := o.trust.connect(ctx)
	if err != nil {
		return err
	}
	registry, err := o.registry.connect()
	if err != nil {
		return err
	}
	to, err := folder.Open(o.to)
	if err != nil {
		return err
	}
	f := &follower{address: address, environment: o.environment, registry: registry, to: to,
		verify: func(ctx context.Context, ref artifact.Ref) (verify.Verified, error) {
			return verifier.Release(ctx, registry, ref, policies, verify.Claim{})
		}}
	if o.watch {
		return o.follow(ctx, s, f)
	}
	result, err := f.pass(ctx)
	if err != nil {
		return err
	}
	return o.print(s, result)
}

func (o *pullOptions) check(written string) (artifact.Address, error) {
	address, err := artifact.ParseAddress(written)
	switch {
	case err != nil:
		return address, usage(err)
	case address.Tag == "" && address.Digest == "":
		return address, usage(fmt.Errorf("%s: a tag or digest is missing; hint: write %s%s:main", written, artifact.Scheme, address.Repository))
	case o.to == "":
		return address, usage(errors.New("--to is missing; hint: name a folder"))
	case o.watch && address.Digest != "":
		return address, usage(errors.New("--watch: a digest never changes; hint: name a tag"))
	case o.interval < time.Second:
		return address, usage(errors.New("--interval is at least 1s"))
	case o.environment != "" && (path.Clean(o.environment) != o.environment || path.IsAbs(o.environment) || strings.HasPrefix(o.environment, "..")):
		return address, usage(fmt.Errorf("--environment %q is not a folder of a release", o.environment))
	}
	return address, checkOutput(o.output, "", "json")
}

// follow passes until ctx ends. What fails is told once, and leaves the folder as
// it is.
func (o *pullOptions) follow(ctx context.Context, s streams, f *follower) error {
	told := ""
	for ctx.Err() == nil {
		result, err := f.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && err.Error() != told:
			told = err.Error()
			fmt.Fprintf(s.Err, "sealift: %s\n", printable(told))
		case err == nil && (result.Changed || told != ""):
			told = ""
			if err := o.print(s, result); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(o.pauseAfter(err)):
		}
	}
	return nil
}

// pauseAfter is the interval, or what a busy registry asks for: an hour at most,
// because one odd answer would keep the folder old for days.
func (o *pullOptions) pauseAfter(err error) time.Duration {
	pause := max(o.interval, min(artifact.RetryAfter(err), time.Hour))
	return pause + rand.N(pause/10+1) // so that many followers do not ask at once
}

func (o *pullOptions) print(s streams, p pulled) error {
	if o.output == "json" {
		return printJSON(s.Out, p)
	}
	what := "unchanged"
	if p.Changed {
		what = "pulled"
	}
	statement := p.Verified.Statement()
	fmt.Fprintf(s.Err, "%s %s\n  to %s, from %s\n", what, p.Verified.Ref(), p.Folder, printable(orElse(statement.Revision, "an unknown revision")))
	return nil
}

// follower keeps a folder at what an address names.
type follower struct {
	address     artifact.Address
	environment string
	registry    *artifact.Registry
	to          *folder.Folder
	verify      func(context.Context, artifact.Ref) (verify.Verified, error)

	last pulled // of the pass that ended well
}

// accepted is what is remembered beside the folder.
type accepted struct {
	Highest []synchronizer.Watermark `json:"highest"` // one for each repository
}

// pass resolves, verifies, accepts, fetches, and shows, in this order: what was
// not verified is not unpacked, and what is refused leaves the folder as it is.
func (f *follower) pass(ctx context.Context) (pulled, error) {
	ref := f.address.Repository.At(f.address.Digest)
	if f.address.Digest == "" {
		var err error
		if ref, err = f.registry.Resolve(ctx, f.address.Repository, f.address.Tag); err != nil {
			return pulled{}, err
		}
	}
	if f.last.Verified.Ref() == ref && f.to.Shows(f.version(ref.Digest)) {
		f.last.Changed = false
		return f.last, nil
	}
	verified, err := f.verify(ctx, ref)
	if err != nil {
		return pulled{}, err
	}
	unlock, err := f.to.Lock()
	if err != nil {
		return pulled{}, err
	}
	defer unlock()
	remember, err := f.accept(verified)
	if err != nil {
		return pulled{}, fmt.Errorf("accepting %s: %w", ref, err)
	}
	files, err := f.fetch(ctx, verified)
	if err != nil {
		return pulled{}, err
	}
	if err := f.to.Remember(remember); err != nil {
		return pulled{}, err
	}
	changed, err := f.to.Show(f.version(ref.Digest), files)
	if err != nil {
		return pulled{}, err
	}
	f.last = pulled{Folder: f.to.Path(), Changed: changed, Files: len(files), Verified: verified}
	return f.last, nil
}

// version tells apart what one release looks like with different flags.
func (f *follower) version(d digest.Digest) string {
	name := d.Algorithm().String() + "-" + d.Encoded()
	if f.environment == "" || f.environment == "." {
		return name
	}
	return name + "-" + digest.FromString(f.environment).Encoded()[:16]
}

// accept decides by what is remembered, and returns what is to be.
func (f *follower) accept(v verify.Verified) ([]byte, error) {
	data, err := f.to.State()
	if err != nil {
		return nil, err
	}
	var known accepted
	if len(data) > 0 {
		if err := json.Unmarshal(data, &known); err != nil {
			return nil, fmt.Errorf("what was accepted before cannot be read: %w", err)
		}
	}
	origin := orElse(v.Statement().Repository, v.Ref().Repository.String())
	at := len(known.Highest)
	for i, mark := range known.Highest {
		if mark.Repository == origin {
			at = i
		}
	}
	if at == len(known.Highest) {
		known.Highest = append(known.Highest, synchronizer.Watermark{})
	}
	if known.Highest[at], err = known.Highest[at].Next(v, f.address.Digest != ""); err != nil {
		return nil, err
	}
	return json.Marshal(known)
}

// fetch takes a Verified, so that nothing unverified is unpacked.
func (f *follower) fetch(ctx context.Context, v verify.Verified) ([]objects.File, error) {
	release, err := f.registry.Fetch(ctx, v.Ref(), artifact.DefaultLimits())
	if err != nil {
		return nil, err
	}
	if f.environment == "" || f.environment == "." {
		return release.Files, nil
	}
	var files []objects.File
	for _, file := range release.Files {
		if name, inside := strings.CutPrefix(file.Path, f.environment+"/"); inside {
			files = append(files, objects.File{Path: name, Data: file.Data})
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("unpacking %s: there is no environment %q in it", v.Ref(), f.environment)
	}
	return files, nil
}
