// Command rekor is upstream's Rekor v2 with its log in files, built from its Go module. It also
// ends when its standard input does, so that it never outlives the program that started it.
package main

import (
	"io"
	"os"

	"github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix/app"
)

func main() {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	app.Execute()
}
