// Command demo plays the circle on real parts: commit, signed release, cluster,
// image bump, commit. Every step is asserted; the figures are measured.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"sealift.dev/test/stage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %s\n", err)
		os.Exit(1)
	}
}

// run needs the binary's path in SEALIFT; KEEP=1 leaves everything running.
func run(ctx context.Context) (err error) {
	binary, err := filepath.Abs(os.Getenv("SEALIFT"))
	if err != nil || os.Getenv("SEALIFT") == "" {
		return fmt.Errorf("the variable SEALIFT names the sealift binary; hint: run make demo")
	}
	p := &player{out: os.Stdout, sealift: binary, began: time.Now()}
	p.stage, err = stage.Start(ctx, stage.Options{Out: os.Stdout})
	if err != nil {
		return err
	}
	defer p.stage.Stop()
	defer p.stopSync()
	if p.dir, err = os.MkdirTemp("", "sealift-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(p.dir)
	if err := play(ctx, p); err != nil {
		p.showLog()
		return err
	}
	if os.Getenv("KEEP") != "" {
		p.keep(ctx)
	}
	return nil
}

// play is the whole circle.
func play(ctx context.Context, p *player) error {
	begun := time.Now()
	for _, scene := range []struct {
		title string
		play  func(context.Context, *player) error
	}{
		{"A shop in Git is published as a signed release", publishShop},
		{"A Delivery brings it into the cluster", deliverShop},
		{"An unsigned push is refused", refuseUnsigned},
		{"A push signed by a stranger is refused", refuseStranger},
		{"A layer with one flipped bit is refused", refuseFlippedBit},
		{"Someone scales the shop by hand, and it is healed", healDrift},
		{"A new image tag comes back as a commit, and is rolled out", bumpImage},
		{"git revert brings the old version back, and the automator lets it be", revertBump},
	} {
		p.title(scene.title)
		if err := scene.play(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
	}
	p.say("\nThe circle is closed: %d steps in %.1f s, every one asserted.", p.scene, time.Since(begun).Seconds())
	return nil
}
