package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sealift.dev/internal/text"
	"sealift.dev/synchronizer/console"
)

type confirmOptions struct {
	deliveries deliveryFlags
	yes        bool
	digest     string
	output     string
}

func newConfirmCommand(s streams) *cobra.Command {
	var o confirmOptions
	cmd := &cobra.Command{
		Use:   "confirm NAME",
		Short: "Confirm a deletion that a Delivery waits with",
		Long: `Show what a Delivery would delete and waits with, because it is more than maxPrune or
asks for it itself, and confirm exactly that list. When the list becomes another
one, it has to be confirmed again.`,
		Example: `  # Look, and answer
  sealift confirm shop -n shop

  # For scripts: only look, then confirm what was seen
  sealift confirm shop -n shop -o json
  sealift confirm shop -n shop --digest sha256:…`,
		Args:              oneArg,
		ValidArgsFunction: o.deliveries.complete(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	flags := cmd.Flags()
	o.deliveries.register(flags)
	flags.BoolVarP(&o.yes, "yes", "y", false, "confirm what is shown without a question")
	flags.StringVar(&o.digest, "digest", "", "confirm the list of this digest, and no other")
	outputFlag(cmd, &o.output, "only print the list", "json", "yaml")
	return cmd
}

func (o *confirmOptions) run(ctx context.Context, s streams, name string) error {
	if err := checkOutput(o.output, "", "json", "yaml"); err != nil {
		return err
	}
	if o.output != "" && (o.yes || o.digest != "") {
		return usage(errors.New("-o only prints the list, and goes without --yes and --digest"))
	}
	client, namespace, err := o.deliveries.connect()
	if err != nil {
		return err
	}
	awaited, err := client.Awaiting(ctx, namespace, name)
	if err != nil {
		return err
	}
	if o.output != "" {
		return printDocument(s.Out, o.output, awaited)
	}
	digest := orElse(o.digest, awaited.Digest)
	if o.digest == "" {
		show(s, namespace+"/"+name, awaited)
		if !o.yes {
			if err := agree(ctx, s, fmt.Sprintf("Delete these %d objects?", awaited.Total), "--yes or --digest"); err != nil {
				return err
			}
		}
	}
	if err := client.Confirm(ctx, namespace, name, digest); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "delivery %s/%s: confirmed %s\n", namespace, name, digest)
	return nil
}

func show(s streams, delivery string, a console.Awaiting) {
	fmt.Fprintf(s.Err, "delivery %s waits with deleting %s: %s\n", delivery, text.Count(a.Total, "object", "objects"), oneLine(a.Reason))
	for _, object := range a.Objects {
		fmt.Fprintf(s.Err, "  %s\n", oneLine(object))
	}
	if more := a.Total - len(a.Objects); more > 0 {
		fmt.Fprintf(s.Err, "  and %d more\n", more)
	}
	fmt.Fprintf(s.Err, "digest %s\n", oneLine(a.Digest))
}

// agree puts a question that only y or yes answers; without a terminal nobody could.
func agree(ctx context.Context, s streams, question, instead string) error {
	file, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return usage(fmt.Errorf("nobody is there to be asked; hint: %s", instead))
	}
	fmt.Fprintf(s.Err, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() { // the reading cannot be ended, and lasts as long as the process
		answer, _ := bufio.NewReader(s.In).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(answer))
	}()
	select {
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
		return errors.New("not confirmed")
	case <-ctx.Done():
		return ctx.Err()
	}
}
