package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestCompletionEnds: a cluster that takes connections and says nothing holds no shell.
func TestCompletionEnds(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	config := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'https://" + silent.Addr().String() + "'}}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{}
	var flags deliveryFlags
	flags.register(cmd.Flags())
	if err := cmd.Flags().Set("kubeconfig", config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	cmd.SetContext(ctx)
	began := time.Now()
	words, directive := completeNamespace(cmd, nil, "")
	if took := time.Since(began); took > patience || len(words) > 0 || directive != cobra.ShellCompDirectiveError {
		t.Errorf("got %v, %v after %v", words, directive, took)
	}
}
