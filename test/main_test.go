// Package test plays Sealift from end to end on real parts, and holds the rules of the house.
package test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"sealift.dev/test/stage"
)

// shared is the stage that all tests of the package use, each in namespaces and repositories of its
// own. The first test that asks starts it; TestMain stops it.
type shared struct {
	once    sync.Once
	stage   *stage.Stage
	fragile *stage.ControlPlane // see onFragile
	err     error
	// synchronizer is the one that most tests share; nil until one asks.
	synchronizer *synchronizer
	// scratch is a folder for what many tests use; it goes when all are done.
	scratch string
}

var common shared

func TestMain(m *testing.M) {
	var err error
	if common.scratch, err = os.MkdirTemp("", "sealift-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if common.synchronizer != nil {
		common.synchronizer.end(os.Interrupt)
	}
	if common.fragile != nil {
		common.fragile.Stop()
	}
	if common.stage != nil {
		if err := common.stage.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the stage:", err)
			code = 1
		}
	}
	if err := os.RemoveAll(common.scratch); err != nil {
		fmt.Fprintln(os.Stderr, "removing what tests shared:", err)
	}
	os.Exit(code)
}

// onStage returns the running stage.
func onStage(t *testing.T) *stage.Stage {
	t.Helper()
	common.once.Do(func() {
		common.stage, common.err = stage.Start(context.Background(), stage.Options{Out: os.Stderr})
	})
	if common.err != nil {
		t.Fatal(common.err)
	}
	return common.stage
}
