// Package parts builds the real programs that tests and the demo stand on: Kubernetes' control
// plane, kwok, a registry, a Sigstore instance, both cosign command lines. Each is built once, from
// its Go module, into the user's cache folder.
package parts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	// Module is the package to install at Version. Empty: the folder Name of Source.
	Module string
	// Source is the project's folder that is a Go module of its own, where Module is empty.
	Source string
	// Flags are added to the linker's.
	Flags string
	// Cold is about how long the build takes with nothing cached, on two cores.
	Cold time.Duration
	// Stages are patterns of files in the part's module, concatenated into stages.yaml beside the program.
	Stages []string
}

// All lists the parts in the order in which they are built.
func All() []Part {
	const controlPlane, sigstore, prometheus = "test/controlplane", "test/sigstack", "test/prometheus"
	gitVersion := "-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion
	return []Part{
		{Name: "etcd", Version: "v3.6.8", Source: controlPlane, Cold: 15 * time.Second},
		{Name: "kube-apiserver", Version: kubernetesVersion, Source: controlPlane, Flags: gitVersion, Cold: 170 * time.Second},
		{Name: "kube-controller-manager", Version: kubernetesVersion, Source: controlPlane, Flags: gitVersion, Cold: 45 * time.Second},
		{Name: "kube-scheduler", Version: kubernetesVersion, Source: controlPlane, Flags: gitVersion, Cold: 15 * time.Second},
		{Name: "kubectl", Version: kubernetesVersion, Source: controlPlane, Flags: gitVersion, Cold: 20 * time.Second},
		{Name: "kwok", Version: "v0.8.0", Module: "sigs.k8s.io/kwok/cmd/kwok", Cold: 70 * time.Second, Stages: []string{
			"kustomize/stage/node/fast/node-*.yaml",
			"kustomize/stage/node/heartbeat/node-*.yaml",
			"kustomize/stage/pod/fast/pod-*.yaml",
		}},
		{Name: "registry", Version: "v3.1.2", Module: "github.com/distribution/distribution/v3/cmd/registry", Cold: 60 * time.Second},
		{Name: "cosign2", Version: "v2.6.5", Module: "github.com/sigstore/cosign/v2/cmd/cosign", Cold: 100 * time.Second},
		{Name: "cosign3", Version: "v3.1.3", Module: "github.com/sigstore/cosign/v3/cmd/cosign", Cold: 100 * time.Second},
		{Name: "rekor", Version: "v2.3.0", Source: sigstore, Cold: 60 * time.Second},
		{Name: "sigstack", Version: "with fulcio v1.8.8", Source: sigstore, Cold: 90 * time.Second},
		{Name: "alerts", Version: "with prometheus v0.312.0", Source: prometheus, Cold: 40 * time.Second},
	}
}

// Ensure builds the named parts that are not there yet and returns a folder that holds them.
// Each build is one line on out. Runs at the same time wait for each other; a failed build leaves
// nothing behind and its error ends with the log's tail.
func Ensure(ctx context.Context, out io.Writer, names ...string) (string, error) {
	wanted, err := choose(names)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w; hint: set HOME or XDG_CACHE_HOME", err)
	}
	base := filepath.Join(cache, "sealift", "parts")
	var dirs []string
	for _, part := range wanted {
		source, err := findSource(part)
		if err != nil {
			return "", err
		}
		dir, err := folder(base, part, source)
		if err != nil {
			return "", err
		}
		if err := ensure(ctx, out, part, source, dir); err != nil {
			return "", err
		}
		dirs = append(dirs, dir)
	}
	return link(base, wanted, dirs)
}

// ensure builds the part into dir unless it is there: it comes by rename, after its stages, so a
// program that is there is whole.
func ensure(ctx context.Context, out io.Writer, part Part, source, dir string) error {
	there := func() bool {
		_, err := os.Stat(filepath.Join(dir, part.Name))
		return err == nil
	}
	if there() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, dir+".lock", out)
	if err != nil {
		return fmt.Errorf("locking %s: %w", dir, err)
	}
	defer unlock()
	if there() {
		return nil
	}
	if err := sweep(dir); err != nil {
		return err
	}
	if err := build(ctx, out, part, source, dir); err != nil {
		return fmt.Errorf("building %s %s: %w", part.Name, part.Version, err)
	}
	return nil
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

// findSource finds the part's source from any folder of the project; empty for what is installed.
func findSource(part Part) (string, error) {
	if part.Source == "" {
		return "", nil
	}
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		source := filepath.Join(dir, filepath.FromSlash(part.Source))
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding %s above %s: %w", part.Source, start, os.ErrNotExist)
		}
	}
}

// folder names the part's cache folder by all that decides what the program contains.
func folder(base string, part Part, source string) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %s/%s\n%s\n%q\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, part.Version,
		append([]string{part.Module, part.Flags}, part.Stages...))
	if source != "" {
		files, err := filepath.Glob(filepath.Join(source, part.Name, "*.go"))
		if err != nil {
			return "", err
		}
		for _, path := range append(files, filepath.Join(source, "go.mod"), filepath.Join(source, "go.sum")) {
			data, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(path), len(data), data)
		}
	}
	return filepath.Join(base, part.Name+"-"+hex.EncodeToString(hash.Sum(nil))[:16]), nil
}

// link returns a folder with a link to each file of the parts, one for each choice of parts.
func link(base string, wanted []Part, dirs []string) (string, error) {
	sum := sha256.Sum256([]byte(strings.Join(dirs, "\n")))
	all := filepath.Join(base, hex.EncodeToString(sum[:])[:16])
	if err := os.MkdirAll(all, 0o755); err != nil {
		return "", err
	}
	for i, part := range wanted {
		names := []string{part.Name}
		if len(part.Stages) > 0 {
			names = append(names, "stages.yaml")
		}
		for _, name := range names {
			err := os.Symlink(filepath.Join("..", filepath.Base(dirs[i]), name), filepath.Join(all, name))
			if err != nil && !errors.Is(err, fs.ErrExist) { // the same one: its target is in the folder's name
				return "", err
			}
		}
	}
	return all, nil
}

// tail returns the last lines of a log, for an error.
func tail(log string, lines int) string {
	all := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
