package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// childVariable makes the test binary a reader of one release, in a process of its
// own: a crash, its memory and what it writes are its own, too.
const childVariable = "SEALIFT_HOSTILE_CHILD"

const (
	overIdle  = 128 << 10 // KiB that reading may take beside an idle process
	hangGuard = time.Minute
)

// job is what a child reads.
type job struct {
	Host, Repository, Tag string
	CA                    string // path of the authority's certificate; empty: plain HTTP
	Policies              string // TrustPolicy documents
	Environment           string
	Password              string // of the user "u", for Host
}

// outcome is what became of it.
type outcome struct {
	Step    string // where it was refused: resolve, verify, pull, decode; empty: it was delivered
	Reason  string // verify's, or what artifact and objects call it
	Message string
	Objects []string
	Version string // the statement's, as it is
	Peak    int    // KiB resident at most
	Details string // of the signatures that do not count
	CPU     time.Duration
}

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(all(m))
	case "idle":
		report(outcome{})
	default:
		var j job
		if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		report(read(context.Background(), j))
	}
}

func all(m *testing.M) int {
	var err error
	if built, err = os.MkdirTemp("", "sealift-hostile-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer os.RemoveAll(built)
	return m.Run()
}

func report(o outcome) {
	o.Peak = peak()
	if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
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

// read does with a release what the synchronizer does before it touches a cluster:
// resolve, verify, pull, decode.
func read(ctx context.Context, j job) (o outcome) {
	fail := func(step string, err error) outcome {
		o.Step, o.Reason, o.Message = step, reasonOf(err), err.Error()
		return o
	}
	policies, err := policy.Parse([]byte(j.Policies))
	if err != nil {
		return fail("policy", err)
	}
	registry, err := j.connect()
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
	o.Version = verified.Statement().Version
	release, err := registry.Fetch(ctx, verified.Ref(), artifact.DefaultLimits())
	if err != nil {
		return fail("pull", err)
	}
	return decode(o, release.Files, j.Environment, fail)
}

// connect gives every host that asks the same password.
func (j job) connect() (*artifact.Registry, error) {
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

func decode(o outcome, files []objects.File, environment string, fail func(string, error) outcome) outcome {
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

// run gives a job to a child, in a folder in which it must not write.
func run(t *testing.T, mode string, j job) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangGuard)
	defer cancel()
	input, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	cmd.Env = []string{childVariable + "=" + mode, "HOME=" + dir, "TMPDIR=" + dir, "XDG_CACHE_HOME=" + dir}
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	started := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("after %v the reader ended with %v (%v): %s", time.Since(started), err, ctx.Err(), tail(problem.String()))
	}
	var o outcome
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	o.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if written := contents(t, dir); len(written) > 0 {
		t.Errorf("the reader wrote %q", written)
	}
	return o
}

func tail(s string) string {
	const most = 4000
	return s[:min(len(s), most)]
}

// contents lists what is below a folder.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return found
}
