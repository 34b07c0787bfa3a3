package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"sealift.dev/synchronizer/console"
)

// patience is how long a shell waits for words that could follow.
const patience = 3 * time.Second

// completeFlags offers values of the flags that name clusters and namespaces, in root
// and all commands below.
func completeFlags(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		completeFlags(cmd)
	}
	if root.Flags().Lookup("kubeconfig") == nil {
		return
	}
	for flag, words := range map[string]cobra.CompletionFunc{"namespace": completeNamespace, "context": completeContext} {
		_ = root.RegisterFlagCompletionFunc(flag, words) // fails where there is no such flag
	}
}

// clusterOf reads the flags of any command that has them.
func clusterOf(cmd *cobra.Command) clusterFlags {
	value := func(name string) string {
		if flag := cmd.Flags().Lookup(name); flag != nil {
			return flag.Value.String()
		}
		return ""
	}
	return clusterFlags{kubeconfig: value("kubeconfig"), context: value("context"), namespace: value("namespace"), as: value("as")}
}

func completeContext(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = clusterOf(cmd).kubeconfig
	config, err := rules.Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for name := range config.Contexts {
		names = append(names, name)
	}
	return beginning(names, begun)
}

func completeNamespace(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return completing(cmd, begun, func(ctx context.Context, client *console.Client, _ string) ([]string, error) {
		return client.Namespaces(ctx)
	})
}

// completeObject offers KIND/ and then KIND/NAME.
func completeObject(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	kind, _, named := strings.Cut(begun, "/")
	words, directive := completing(cmd, begun, func(ctx context.Context, client *console.Client, namespace string) ([]string, error) {
		if !named {
			return client.Kinds(ctx, namespace)
		}
		names, err := client.Names(ctx, namespace, kind)
		for i := range names {
			names[i] = kind + "/" + names[i]
		}
		return names, err
	})
	return words, directive | cobra.ShellCompDirectiveNoSpace
}

// complete offers the names of Deliveries, of which a command takes at most so many;
// a negative number is any.
func (f *deliveryFlags) complete(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completing(cmd, begun, func(ctx context.Context, client *console.Client, namespace string) ([]string, error) {
			return client.Names(ctx, namespace, "deliveries.sealift.dev")
		})
	}
}

// completeRelease offers the releases of a Delivery's history.
func completeRelease(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completing(cmd, begun, func(ctx context.Context, client *console.Client, namespace string) ([]string, error) {
		past, err := client.History(ctx, namespace, args[0])
		var words []string
		for _, p := range past {
			words = append(words, orElse(p.Version, p.Digest))
		}
		return words, err
	})
}

// completing asks the cluster for words. A shell gets none when they take too long:
// neither discovery nor a kubeconfig's plugin ends with a context.
func completing(cmd *cobra.Command, begun string, ask func(ctx context.Context, client *console.Client, namespace string) ([]string, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	cluster := clusterOf(cmd)
	answer := make(chan []string, 1)
	go func() { // lasts as long as the process at most
		defer close(answer)
		client, namespace, err := (&deliveryFlags{cluster: cluster}).connect()
		if err != nil {
			return
		}
		if words, err := ask(ctx, client, namespace); err == nil {
			answer <- words
		}
	}()
	select {
	case words, known := <-answer:
		if known {
			return beginning(words, begun)
		}
	case <-ctx.Done():
	}
	return nil, cobra.ShellCompDirectiveError
}

// beginning are those of words that begin so. A shell reads a line break as another word
// and a tab as the beginning of a description.
func beginning(words []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var fit []string
	for _, word := range words {
		if strings.HasPrefix(word, begun) && printable(word) == word && !strings.ContainsAny(word, "\n\t ") {
			fit = append(fit, word)
		}
	}
	return fit, cobra.ShellCompDirectiveNoFileComp
}
