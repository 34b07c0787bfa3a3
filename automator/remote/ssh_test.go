package remote

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sealift.dev/internal/httpx"
	"sealift.dev/test/stage"
)

// newSSHServer serves a repository like newServer, through OpenSSH.
func newSSHServer(t *testing.T, o stage.SSHGitOptions) (*server, *stage.SSHGitServer) {
	t.Helper()
	git, err := stage.NewSSHGitServer(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = git.Close() })
	s := &server{t: t, bare: git.Path("it's.git"), work: t.TempDir()}
	if s.url, err = git.Create("it's.git"); err != nil {
		t.Fatal(err)
	}
	s.run(s.work, "clone", "-q", s.bare, ".")
	s.run(s.work, "checkout", "-q", "-B", "main")
	s.commit("first", map[string]string{"a.yaml": "a: 1\n", "b/c.yaml": "c: 1\n"})
	return s, git
}

func login(git *stage.SSHGitServer) func(*Options) {
	return func(o *Options) { o.SSH = SSH{Key: git.Key, KnownHosts: git.KnownHosts} }
}

func TestSSH(t *testing.T) {
	for name, o := range map[string]stage.SSHGitOptions{"v2": {}, "v0": {Version0: true}} {
		t.Run(name, func(t *testing.T) {
			s, git := newSSHServer(t, o)
			r := s.open(login(git))
			if branch, err := r.DefaultBranch(t.Context()); err != nil || branch != "main" {
				t.Fatal(branch, err)
			}
			if v2 := r.reader != nil; v2 == o.Version0 {
				t.Errorf("protocol v2 is spoken: %v", v2)
			}
			mustBump(t, r, "c: 2\n", "b/c.yaml")
			r.Close()
			p := mustBump(t, r, "c: 3\n", "b/c.yaml")
			if got := s.run(s.bare, "show", p.ID()+":b/c.yaml"); got != "c: 3" || s.run(s.bare, "rev-parse", "main") != p.ID() {
				t.Errorf("it holds %q", got)
			}
			if commits, err := r.History(t.Context(), p.ID(), 2); err != nil || len(commits) != 2 {
				t.Errorf("%v, %v", commits, err)
			}
			s.hook("pre-receive", "echo 'ask Ann' >&2; exit 1")
			_, err := bump(t.Context(), r, "c: 4\n", "b/c.yaml")
			if wantError(t, err, "ask Ann"); len(Rejections(err)) != 1 {
				t.Errorf("not a rejection: %v", err)
			}
			if got := r.Traffic(); got.Requests == 0 || got.Sent == 0 || got.Received == 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSSHOptions(t *testing.T) {
	s, git := newSSHServer(t, stage.SSHGitOptions{})
	raw, err := ssh.ParseRawPrivateKey(git.Key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(*raw.(*ed25519.PrivateKey), "", []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	locked := pem.EncodeToMemory(block)
	stranger, err := stage.NewSSHGitServer(t.TempDir(), stage.SSHGitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	host, _, _ := strings.Cut(string(git.KnownHosts), " ")
	_, key, _ := strings.Cut(string(stranger.KnownHosts), " ")
	port := strings.TrimPrefix(host, "[127.0.0.1]:")
	for name, test := range map[string]struct {
		ssh  SSH
		want []string
	}{
		"a locked key":       {SSH{Key: locked, Passphrase: []byte("open sesame"), KnownHosts: git.KnownHosts}, nil},
		"no passphrase":      {SSH{Key: locked, KnownHosts: git.KnownHosts}, []string{"the SSH key is locked; hint: pass its passphrase"}},
		"a wrong passphrase": {SSH{Key: locked, Passphrase: []byte("x"), KnownHosts: git.KnownHosts}, []string{"reading the SSH key: "}},
		"no key":             {SSH{KnownHosts: git.KnownHosts}, []string{"there is no SSH key; hint: "}},
		"no PEM":             {SSH{Key: []byte("secret"), KnownHosts: git.KnownHosts}, []string{"reading the SSH key: "}},
		"another's key":      {SSH{Key: stranger.Key, KnownHosts: git.KnownHosts}, []string{"connecting to 127.0.0.1:" + port, "unable to authenticate", "hint: "}},
		"no known hosts":     {SSH{Key: git.Key}, []string{"no SSH server's key is known; hint: ", "ssh-keyscan"}},
		"malformed hosts":    {SSH{Key: git.Key, KnownHosts: []byte("a b c")}, []string{"reading the known hosts: "}},
		"unknown":            {SSH{Key: git.Key, KnownHosts: []byte("example.com " + key)}, []string{"the server's key SHA256:", "is not known", "hint: ", "ssh-keyscan -p " + port + " 127.0.0.1"}},
		"changed":            {SSH{Key: git.Key, KnownHosts: []byte(host + " " + key)}, []string{"the server shows the key SHA256:", "not the known one", "in between"}},
		"revoked":            {SSH{Key: git.Key, KnownHosts: append([]byte("@revoked "), git.KnownHosts...)}, []string{"SHA256:"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Open(Options{URL: s.url, SSH: test.ssh})
			if err == nil {
				defer r.Close()
				_, err = r.Refs(t.Context(), "refs/heads/main")
			}
			if test.want == nil && err != nil {
				t.Error(err)
			}
			wantError(t, err, test.want...)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells the key", err)
			}
		})
	}
	r := s.open(login(git), func(o *Options) { o.URL = git.URL + "/nothing/there.git" })
	_, err = r.Refs(t.Context(), "refs/heads/main")
	wantError(t, err, "reading the branches of "+git.URL, "the server says: ", "not appear to be a git repository")
}

// TestNothingIsWritten: in a container whose file system cannot be written to.
func TestNothingIsWritten(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("containers have Linux")
	}
	_, git := newSSHServer(t, stage.SSHGitOptions{})
	t.Setenv("TMPDIR", "/nothing/there")
	for range 2 {
		if _, err := parseKnownHosts(git.KnownHosts); err != nil {
			t.Error(err)
		}
	}
}

// TestSSHStalled: a server that answers no more, at each step.
func TestSSHStalled(t *testing.T) {
	s, git := newSSHServer(t, stage.SSHGitOptions{})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := s.open(login(git), func(o *Options) { o.URL = "ssh://git@" + silent.Addr().String() + "/shop.git" })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := r.Refs(ctx, "refs/heads/main"); !errors.Is(err, context.Canceled) {
		t.Errorf("connecting: got %v, want Canceled", err)
	}
	// The server's git is a script that says nothing.
	if err := os.Rename(s.bare, s.bare+".away"); err != nil {
		t.Fatal(err)
	}
	r = s.open(login(git), func(o *Options) { o.URL = git.URL + "/x'; sleep 1000; echo '" })
	_, err = r.Refs(t.Context(), "refs/heads/main")
	wantError(t, err, "not appear to be a git repository")
	if err := os.Rename(s.bare+".away", s.bare); err != nil {
		t.Fatal(err)
	}
	s.hook("pre-receive", "exec sleep 1000 >/dev/null 2>&1")
	r = s.open(login(git))
	r.wire.(*sshWire).pace = func(string) httpx.Pace { return httpx.Pace{Window: 300 * time.Millisecond, Bytes: 1} }
	if _, err := bump(t.Context(), r, "a: 2\n", "a.yaml"); !errors.Is(err, httpx.ErrSlow) {
		t.Errorf("pushing: got %v, want ErrSlow", err)
	}
	r.wire.(*sshWire).pace = paceOf
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, cancel)
	if _, err := bump(ctx, r, "a: 2\n", "a.yaml"); !errors.Is(err, context.Canceled) {
		t.Errorf("pushing: got %v, want Canceled", err)
	}
}
