// Reader reads one release as the synchronizer does before it touches a cluster, and
// says what became of it: a job on standard input, an outcome on standard output. It is
// a program of its own, so that a crash, its memory and what it writes are its own, too.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/test/hostile"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

func main() {
	var j hostile.Job
	err := json.NewDecoder(os.Stdin).Decode(&j)
	if err == nil {
		o := hostile.Outcome{}
		if j.Host != "" { // without one, it is idle
			o = read(context.Background(), j)
		}
		o.Peak = peak()
		err = json.NewEncoder(os.Stdout).Encode(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// read does with a release what the synchronizer does before it touches a cluster:
// resolve, verify, pull, decode.
func read(ctx context.Context, j hostile.Job) (o hostile.Outcome) {
	fail := func(step string, err error) hostile.Outcome {
		o.Step, o.Reason, o.Message = step, reasonOf(err), err.Error()
		return o
	}
	policies, err := policy.Parse([]byte(j.Policies))
	if err != nil {
		return fail("policy", err)
	}
	registry, err := connect(j)
	if err != nil {
		return fail("connect", err)
	}
	at, err := registry.Resolve(ctx, artifact.Repository{Host: j.Host, Path: j.Repository}, j.Tag)
	if err != nil {
		return fail("resolve", err)
	}
	verifier, err := verify.New(verify.Options{})
	if err != nil {
		return fail("policy", err)
	}
	verified, err := verifier.Release(ctx, registry, at, policies, verify.Claim{Namespace: "shop"})
	if err != nil {
		o.Details = detailsOf(err)
		return fail("verify", err)
	}
	release, err := registry.Fetch(ctx, verified.Ref(), artifact.DefaultLimits())
	if err != nil {
		return fail("pull", err)
	}
	return decode(o, release.Files, j.Environment, fail)
}

// connect gives every host that asks the same password.
func connect(j hostile.Job) (*artifact.Registry, error) {
	options := artifact.Options{PlainHTTP: j.CA == ""}
	if j.Password != "" {
		options.Credentials = func(context.Context, string) (artifact.Credential, error) {
			return artifact.Credential{Username: "u", Password: j.Password}, nil
		}
	}
	if j.CA != "" {
		pem, err := os.ReadFile(j.CA)
		if err != nil {
			return nil, err
		}
		if options.Transport, err = (artifact.Network{CA: pem}).Transport(); err != nil {
			return nil, err
		}
	}
	return artifact.NewRegistry(options), nil
}

func decode(o hostile.Outcome, files []objects.File, environment string, fail func(string, error) hostile.Outcome) hostile.Outcome {
	var chosen []objects.File
	for _, f := range files {
		if strings.HasPrefix(f.Path, environment+"/") {
			chosen = append(chosen, f)
		}
	}
	decoded, err := objects.Decode(chosen, objects.DefaultLimits())
	if err != nil {
		return fail("decode", err)
	}
	for _, u := range decoded {
		o.Objects = append(o.Objects, objects.Name(u))
	}
	return o
}

func reasonOf(err error) string {
	var refusal *verify.Refusal
	if errors.As(err, &refusal) {
		return string(refusal.Reason)
	}
	for _, known := range []struct {
		err  error
		name string
	}{
		{artifact.ErrUnauthorized, "Unauthorized"}, {artifact.ErrUnavailable, "Unavailable"}, {artifact.ErrNotFound, "NotFound"},
		{artifact.ErrCorrupt, "Corrupt"}, {artifact.ErrLimit, "Limit"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "Invalid"
}

func detailsOf(err error) string {
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) {
		return ""
	}
	var details []string
	for _, d := range refusal.Details() {
		details = append(details, d.Problem)
	}
	return strings.Join(details, "\n")
}

// peak is the most memory that this process has had resident, in KiB.
func peak() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _ := strconv.Atoi(strings.Fields(rest)[0])
	return kib
}
