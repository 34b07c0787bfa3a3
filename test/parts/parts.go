// Package parts builds the real programs that tests and the demo stand on: Kubernetes' control
// plane, kwok, a registry, both cosign command lines. Each is built once, from its Go module, into
// the user's cache folder.
package parts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

const kubernetesVersion = "v1.36.3"

// Part is one program and how it is built.
type Part struct {
	Name    string
	Version string
	// Module is the package to install at Version. Empty: the folder Name of test/controlplane.
	Module string
	// Flags are added to the linker's.
	Flags string
	// Cold is about how long the build takes with nothing cached, on two cores.
	Cold time.Duration
	// Stages are patterns of files in the part's module, concatenated into stages.yaml beside the program.
	Stages []string
}

// All lists the parts in the order in which they are built.
func All() []Part {
	gitVersion := "-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion
	return []Part{
		{Name: "etcd", Version: "v3.6.8", Cold: 15 * time.Second},
		{Name: "kube-apiserver", Version: kubernetesVersion, Flags: gitVersion, Cold: 170 * time.Second},
		{Name: "kube-controller-manager", Version: kubernetesVersion, Flags: gitVersion, Cold: 45 * time.Second},
		{Name: "kube-scheduler", Version: kubernetesVersion, Flags: gitVersion, Cold: 15 * time.Second},
		{Name: "kubectl", Version: kubernetesVersion, Flags: gitVersion, Cold: 20 * time.Second},
		{Name: "kwok", Version: "v0.8.0", Module: "sigs.k8s.io/kwok/cmd/kwok", Cold: 70 * time.Second, Stages: []string{
			"kustomize/stage/node/fast/node-*.yaml",
			"kustomize/stage/node/heartbeat/node-*.yaml",
			"kustomize/stage/pod/fast/pod-*.yaml",
		}},
		{Name: "registry", Version: "v3.1.2", Module: "github.com/distribution/distribution/v3/cmd/registry", Cold: 60 * time.Second},
		{Name: "cosign2", Version: "v2.6.5", Module: "github.com/sigstore/cosign/v2/cmd/cosign", Cold: 100 * time.Second},
		{Name: "cosign3", Version: "v3.1.3", Module: "github.com/sigstore/cosign/v3/cmd/cosign", Cold: 100 * time.Second},
	}
}

// Ensure builds the named parts that are not there yet and returns the folder that holds them.
// Each build is one line on out. Runs at the same time wait for each other; a failed build leaves
// nothing behind and its error ends with the log's tail.
func Ensure(ctx context.Context, out io.Writer, names ...string) (string, error) {
	wanted, err := choose(names)
	if err != nil {
		return "", err
	}
	source, err := controlPlaneSource()
	if err != nil {
		return "", err
	}
	dir, err := folder(source)
	if err != nil {
		return "", err
	}
	if len(missing(dir, wanted)) == 0 {
		return dir, nil
	}
	unlock, err := lock(ctx, dir+".lock", out)
	if err != nil {
		return "", fmt.Errorf("locking %s: %w", dir, err)
	}
	defer unlock()
	if err := sweep(dir); err != nil {
		return "", err
	}
	for _, part := range missing(dir, wanted) {
		if err := build(ctx, out, part, source, dir); err != nil {
			return "", fmt.Errorf("building %s %s: %w", part.Name, part.Version, err)
		}
	}
	return dir, nil
}

func choose(names []string) ([]Part, error) {
	all := All()
	var wanted []Part
	for _, name := range names {
		at := slices.IndexFunc(all, func(p Part) bool { return p.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("no part is called %q", name)
		}
		wanted = append(wanted, all[at])
	}
	return wanted, nil
}

// missing relies on rename: a program that is there is whole, and its stages came before it.
func missing(dir string, wanted []Part) []Part {
	return slices.DeleteFunc(slices.Clone(wanted), func(p Part) bool {
		_, err := os.Stat(filepath.Join(dir, p.Name))
		return err == nil
	})
}

// sweep removes what a killed run left. The caller holds the lock.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".build-*"))
	if err != nil {
		return err
	}
	for _, scratch := range left {
		if err := os.RemoveAll(scratch); err != nil {
			return err
		}
	}
	return nil
}

// controlPlaneSource finds test/controlplane from any folder of the project.
func controlPlaneSource() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		source := filepath.Join(dir, "test", "controlplane")
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding test/controlplane above %s: %w", start, os.ErrNotExist)
		}
	}
}

// folder names the cache folder by all that decides what the programs contain.
func folder(source string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w; hint: set HOME or XDG_CACHE_HOME", err)
	}
	key, err := cacheKey(source, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", source, err)
	}
	dir := filepath.Join(cache, "sealift", "parts", key)
	return dir, os.MkdirAll(dir, 0o755)
}

func cacheKey(source, platform string) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%+v\n", platform, All())
	mains, err := filepath.Glob(filepath.Join(source, "*", "main.go"))
	if err != nil {
		return "", err
	}
	for _, path := range append(mains, filepath.Join(source, "go.mod"), filepath.Join(source, "go.sum")) {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		name, err := filepath.Rel(source, path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", filepath.ToSlash(name), len(data), data)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// tail returns the last lines of a log, for an error.
func tail(log string, lines int) string {
	all := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
