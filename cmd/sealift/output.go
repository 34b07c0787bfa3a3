package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"
)

// checkOutput refuses a format that a command does not have.
func checkOutput(format string, known ...string) error {
	for _, name := range known {
		if format == name {
			return nil
		}
	}
	named := slices.DeleteFunc(slices.Clone(known), func(name string) bool { return name == "" })
	return usage(fmt.Errorf("-o: %q is none of %s", format, strings.Join(named, ", ")))
}

// outputFlag adds -o, with the formats that a command has besides the one for people.
func outputFlag(cmd *cobra.Command, to *string, what string, formats ...string) {
	cmd.Flags().StringVarP(to, "output", "o", "", what+": "+strings.Join(formats, ", "))
	words := func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return beginning(formats, begun)
	}
	_ = cmd.RegisterFlagCompletionFunc("output", words) // fails without the flag
}

func printJSON(w io.Writer, value any) error { return printDocument(w, "json", value) }

// printDocument writes value as json or yaml. Characters that cannot be printed
// are escaped: they are strangers', and the terminal would obey them.
func printDocument(w io.Writer, format string, value any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	data := escaped(out.Bytes())
	switch format {
	case "json":
	case "yaml":
		var err error
		if data, err = yaml.JSONToYAML(data); err != nil {
			return err
		}
		data = []byte(printable(string(data))) // the YAML library escapes less than JSON allows
	default:
		return errors.New("no such format")
	}
	_, err := w.Write(data)
	return err
}

// printNext writes a document that follows others.
func printNext(w io.Writer, format string, value any) error {
	if format == "yaml" {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
	}
	return printDocument(w, format, value)
}

// escaped writes what cannot be printed as JSON's \u; such characters are found
// within strings only.
func escaped(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, r := range string(data) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = append(out, string(r)...)
		case r > 0xffff:
			high, low := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// isTerminal says that a person looks at w.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
