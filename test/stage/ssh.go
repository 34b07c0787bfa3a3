package stage

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// SSHGitOptions of a Git server over SSH. The zero value speaks Git's protocol v2.
type SSHGitOptions struct {
	// Version0 leaves clients no way to ask for another protocol than v0.
	Version0 bool
}

// SSHGitServer serves repositories on disk through OpenSSH, to whoever has Key. The shell that
// runs git there is the user's own.
type SSHGitServer struct {
	URL        string // ssh://USER@HOST:PORT, without a slash at its end
	Key        []byte // the private key that may log in, in OpenSSH's format
	KnownHosts []byte // the server's public key

	dir      string
	config   string
	listener net.Listener
	wait     sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
}

const sshd = "/usr/sbin/sshd"

// NewSSHGitServer serves on a free port. Dir is made where it is missing, and keeps the
// server's keys besides repositories.
func NewSSHGitServer(dir string, options SSHGitOptions) (*SSHGitServer, error) {
	if _, err := os.Stat(sshd); err != nil {
		return nil, fmt.Errorf("finding an SSH server: %w; hint: install openssh-server", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &SSHGitServer{dir: dir, config: filepath.Join(dir, "sshd_config"), open: map[net.Conn]bool{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	hostKey, err := s.writeKeys()
	if err != nil {
		return nil, fmt.Errorf("making keys for an SSH server: %w", err)
	}
	if err := s.configure(options); err != nil {
		return nil, fmt.Errorf("configuring an SSH server: %w", err)
	}
	self, err := user.Current()
	if err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	s.URL = "ssh://" + self.Username + "@" + host + ":" + port
	s.KnownHosts = fmt.Appendf(nil, "[%s]:%s %s", host, port, hostKey)
	s.wait.Go(s.serve)
	return s, nil
}

// writeKeys makes the server's key and the one that may log in, and returns the server's
// public one.
func (s *SSHGitServer) writeKeys() (hostKey []byte, err error) {
	hostKey, private, err := newSSHKey()
	if err != nil {
		return nil, err
	}
	public, key, err := newSSHKey()
	if err != nil {
		return nil, err
	}
	s.Key = key
	return hostKey, errors.Join(
		os.WriteFile(filepath.Join(s.dir, "host_key"), private, 0o600),
		os.WriteFile(filepath.Join(s.dir, "authorized_keys"), public, 0o600),
	)
}

func newSSHKey() (public, private []byte, err error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, nil, err
	}
	known, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, err
	}
	return ssh.MarshalAuthorizedKey(known), pem.EncodeToMemory(block), nil
}

func (s *SSHGitServer) configure(options SSHGitOptions) error {
	lines := []string{
		"HostKey " + filepath.Join(s.dir, "host_key"),
		"AuthorizedKeysFile " + filepath.Join(s.dir, "authorized_keys"),
		"StrictModes no", "UsePAM no", "PasswordAuthentication no", "PermitRootLogin prohibit-password",
		"PrintMotd no", "MaxSessions 20",
		"SetEnv GIT_CONFIG_GLOBAL=" + os.DevNull + " GIT_CONFIG_NOSYSTEM=1",
	}
	if !options.Version0 {
		lines = append(lines, "AcceptEnv GIT_PROTOCOL")
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it gives up its rights
			return err
		}
	}
	return os.WriteFile(s.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// serve starts one sshd for each connection, as inetd does it.
func (s *SSHGitServer) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[conn] = true
		s.mu.Unlock()
		s.wait.Go(func() {
			s.handle(conn.(*net.TCPConn))
			s.mu.Lock()
			delete(s.open, conn)
			s.mu.Unlock()
		})
	}
}

func (s *SSHGitServer) handle(conn *net.TCPConn) {
	defer conn.Close()
	file, err := conn.File()
	if err != nil {
		return
	}
	defer file.Close()
	cmd := exec.Command(sshd, "-i", "-e", "-q", "-f", s.config)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, os.Stderr
	_ = cmd.Run() // it fails where the client hangs up
}

// Create makes the empty bare repository name ("shop.git") with the branch main, and returns its URL.
func (s *SSHGitServer) Create(name string) (string, error) {
	if _, err := Git(s.dir, "init", "--quiet", "--bare", "--initial-branch=main", name); err != nil {
		return "", err
	}
	if _, err := Git(s.Path(name), "config", "uploadpack.allowFilter", "true"); err != nil {
		return "", err
	}
	return s.URL + s.Path(name), nil
}

// Path is where the repository lies on disk.
func (s *SSHGitServer) Path(name string) string { return filepath.Join(s.dir, name) }

// Close stops listening and hangs up; the repositories stay.
func (s *SSHGitServer) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.open {
		// The server's own copy of the connection ends with it.
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.(*net.TCPConn).CloseRead()
	}
	s.mu.Unlock()
	s.wait.Wait()
	return err
}
