package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealift.dev/verify/policy"
)

func newPolicyCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Explain trust policies, and try them on the releases that exist",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return usage(errors.New("say which: explain or test")) },
	}
	cmd.AddCommand(newPolicyExplainCommand(s), newPolicyTestCommand(s))
	return cmd
}

func newPolicyExplainCommand(s streams) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Say in words what the trust policies in a file let in",
		Long: `Say in words what the trust policies in a file let in: to what they apply, whose
signatures count, what else a release needs, and what may not be meant.

A file that holds no valid policy is an error, so this checks one as well.`,
		Example: `  sealift policy explain trust.yaml`,
		Args:    oneArg,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output, "", "json"); err != nil {
				return err
			}
			policies, err := readPolicies(args[0])
			if err != nil {
				return err
			}
			explanations := make([]policy.Explanation, 0, len(policies))
			for _, named := range policies {
				explanations = append(explanations, named.Explain(time.Now()))
			}
			if output == "json" {
				return printJSON(s.Out, explanations)
			}
			_, err = fmt.Fprint(s.Out, printable(explained(explanations)))
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: json")
	return cmd
}

// explained lays explanations out for people.
func explained(explanations []policy.Explanation) string {
	var b strings.Builder
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		b.WriteString("  " + title + "\n")
		for _, line := range lines {
			b.WriteString("    - " + line + "\n")
		}
	}
	for i, e := range explanations {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "TrustPolicy %s (%s)\n", e.Name, e.Mode)
		section("It applies to", e.Applies)
		section("Authorities are", e.Authorities)
		section("A release needs", e.Needs)
		section("It always refuses", e.Refused)
		section("Mind that", e.Warnings)
	}
	if len(explanations) > 1 {
		b.WriteString("\nA release must pass every one of them that applies to it.\n")
	}
	return b.String()
}
