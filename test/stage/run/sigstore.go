package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// sigstore runs an instance until ctx ends, and prints where it is as shell assignments.
func sigstore(ctx context.Context, dir string, out io.Writer) error {
	bin, err := parts.Ensure(ctx, os.Stderr, stage.SigstoreParts()...)
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	s, err := stage.StartSigstore(ctx, bin, dir)
	if err != nil {
		return err
	}
	defer s.Stop()
	fmt.Fprintf(out, "SIGNING_CONFIG=%s\nTRUSTED_ROOT=%s\nTOKEN_URL=%s\nISSUER=%s\n", s.SigningConfig, s.TrustedRoot, s.TokenURL, s.Issuers["github"])
	fmt.Fprintln(os.Stderr, "the Sigstore instance runs until: Ctrl-C")
	<-ctx.Done()
	return nil
}
