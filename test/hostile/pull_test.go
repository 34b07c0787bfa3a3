package hostile

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// puller keeps a folder at what a registry's tag names, by `sealift pull`.
type puller struct {
	w    *world
	home string
}

func newPuller(w *world) *puller {
	w.t.Helper()
	p := &puller{w: w, home: w.t.TempDir()}
	for name, content := range map[string]string{
		"trust.yaml": w.policies, "canary": "untouched",
		"config.json": fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, w.s.Host, base64.StdEncoding.EncodeToString([]byte("u:"+secret))),
	} {
		if err := os.WriteFile(filepath.Join(p.home, name), []byte(content), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	return p
}

// pull runs the command; it gives its exit code and what it says.
func (p *puller) pull() (code int, told string) {
	p.w.t.Helper()
	sealift, err := binary()
	if err != nil {
		p.w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.home, "trust.yaml"), []byte(p.w.policies), 0o600); err != nil {
		p.w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.w.t.Context(), hangGuard)
	defer cancel()
	args := []string{"pull", "oci://" + p.w.s.Host + "/" + repository + ":main", "--policy", "trust.yaml", "--to", "out"}
	if p.w.s.CA == "" {
		args = append(args, "--plain-http")
	} else {
		args = append(args, "--registry-ca", p.w.s.CA)
	}
	cmd := exec.CommandContext(ctx, sealift, args...)
	cmd.Dir = p.home
	cmd.Env = []string{"HOME=" + p.home, "DOCKER_CONFIG=" + p.home, "TMPDIR=" + p.home, "XDG_CACHE_HOME=" + p.home}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		p.w.t.Fatalf("sealift pull: %v: %s", err, tail(out.String()))
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// state is every file that is there, with what it holds.
func (p *puller) state() string {
	p.w.t.Helper()
	var b strings.Builder
	for _, path := range contents(p.w.t, p.home) {
		if filepath.Base(path) == "trust.yaml" {
			continue // ours to change
		}
		data, _ := os.ReadFile(path) // of a folder: nothing
		target, _ := os.Readlink(path)
		fmt.Fprintf(&b, "%s %q %q\n", strings.TrimPrefix(path, p.home), target, data)
	}
	return b.String()
}

// keeps says that a folder that holds a good release still does so, when the tag
// has moved to the hostile one: nothing in it has changed, and nothing beside it.
func (v vector) keeps(t *testing.T) {
	t.Helper()
	w := newWorld(t)
	if v.tls {
		w.useTLS()
	}
	w.publish()
	p := newPuller(w)
	if code, told := p.pull(); code != 0 {
		t.Fatalf("the good release: exit code %d: %s", code, tail(told))
	}
	before := p.state()
	v.make(w, true)
	code, told := p.pull()
	if strings.ContainsFunc(told, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
		t.Errorf("it says what cannot be printed: %q", tail(told))
	}
	if v.step == "" {
		if code != 0 {
			t.Errorf("exit code %d: %s", code, tail(told))
		}
		return
	}
	untrusted := v.step == "verify" && v.reason != "Unavailable"
	if code == 0 || untrusted != (code == 3) {
		t.Errorf("exit code %d: %s", code, tail(told))
	}
	if after := p.state(); after != before {
		t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
}
