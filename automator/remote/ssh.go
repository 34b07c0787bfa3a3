package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"sealift.dev/internal/httpx"
)

const (
	sshPort      = "22"
	sshUser      = "git"            // where the address names none
	sshHandshake = 30 * time.Second // for connecting and authenticating
	sshIdle      = time.Minute      // after which a connection is not used again
)

// sshWire speaks Git's protocols through a server's git-upload-pack and git-receive-pack.
type sshWire struct {
	address string // HOST:PORT
	path    string
	config  *ssh.ClientConfig
	pace    func(service string) httpx.Pace
	limit   int64
	traffic *traffic

	mu     sync.Mutex
	client *ssh.Client
	used   time.Time
}

func newSSHWire(address *url.URL, o Options, t *traffic) (*sshWire, error) {
	port := address.Port()
	if port == "" {
		port = sshPort
	}
	w := &sshWire{
		address: net.JoinHostPort(address.Hostname(), port), path: address.Path,
		pace: paceOf, limit: o.Limits.Transfer, traffic: t,
	}
	key, err := parseSSHKey(o.SSH.Key, o.SSH.Passphrase)
	if err != nil {
		return nil, err
	}
	known, err := parseKnownHosts(o.SSH.KnownHosts)
	if err != nil {
		return nil, err
	}
	user := sshUser
	if address.User != nil {
		user = address.User.Username()
	}
	w.config = &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback:   w.checkHost(known),
		HostKeyAlgorithms: known.HostKeyAlgorithms(w.address),
	}
	return w, nil
}

// parseSSHKey reads a private key. Its errors do not repeat what is in it.
func parseSSHKey(key, passphrase []byte) (ssh.Signer, error) {
	if len(bytes.TrimSpace(key)) == 0 {
		return nil, errors.New("there is no SSH key; hint: pass a private key (--ssh-key)")
	}
	signer, err := ssh.ParsePrivateKey(key)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if len(passphrase) == 0 {
			return nil, errors.New("the SSH key is locked; hint: pass its passphrase (SEALIFT_SSH_PASSPHRASE)")
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(key, passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the SSH key: %w", err)
	}
	return signer, nil
}

// parseKnownHosts reads public keys of servers. The library reads files only.
func parseKnownHosts(content []byte) (db *knownhosts.HostKeyDB, err error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, errors.New("no SSH server's key is known; hint: pass what ssh-keyscan HOST prints (--ssh-known-hosts), once you have compared it with what the server's owner publishes")
	}
	name, remove, err := asFile(content)
	if err != nil {
		return nil, fmt.Errorf("reading the known hosts: %w", err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	if db, err = knownhosts.NewDB(name); err != nil {
		return nil, fmt.Errorf("reading the known hosts: %s", strings.ReplaceAll(oneLine(err.Error()), name+":", "line "))
	}
	return db, nil
}

// checkHost trusts nobody on first use.
func (w *sshWire) checkHost(known *knownhosts.HostKeyDB) ssh.HostKeyCallback {
	check := known.HostKeyCallback()
	return func(address string, at net.Addr, key ssh.PublicKey) error {
		err := check(address, at, key)
		host, port, _ := net.SplitHostPort(w.address)
		scan := "ssh-keyscan " + host
		if port != sshPort {
			scan = "ssh-keyscan -p " + port + " " + host
		}
		switch print := ssh.FingerprintSHA256(key); {
		case knownhosts.IsHostKeyChanged(err):
			return fmt.Errorf("the server shows the key %s, which is not the known one: somebody may be in between; hint: if the server has a new key, compare and replace it (%s)", print, scan)
		case err != nil:
			return fmt.Errorf("the server's key %s is not known; hint: compare it with what the server's owner publishes, then add the output of %s to the known hosts", print, scan)
		}
		return nil
	}
}

func (w *sshWire) stateless() bool { return false }

func (w *sshWire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hangUp()
}

func (w *sshWire) hangUp() {
	if w.client != nil {
		_ = w.client.Close()
		w.client = nil
	}
}

func (w *sshWire) hello(ctx context.Context, service string) (io.ReadCloser, error) {
	return w.start(ctx, service)
}

func (w *sshWire) ask(ctx context.Context, service string, request []byte) (io.ReadCloser, error) {
	c, err := w.start(ctx, service)
	if err != nil {
		return nil, err
	}
	if err := c.say(request); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// start runs a service on the server, on the connection that is there or on a new one.
func (w *sshWire) start(ctx context.Context, service string) (*conversation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traffic.requests.Add(1)
	if w.client != nil && time.Since(w.used) < sshIdle {
		if c, err := w.run(ctx, w.client, service); err == nil || ctx.Err() != nil {
			return c, err
		}
	}
	w.hangUp()
	client, err := w.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", w.address, err)
	}
	w.client = client
	return w.run(ctx, client, service)
}

func (w *sshWire) dial(ctx context.Context) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, sshHandshake)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", w.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, w.address, w.config)
	if !stop() && err == nil {
		err = c.Close()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if strings.Contains(err.Error(), "unable to authenticate") {
			return nil, fmt.Errorf("%w; hint: the server does not take this key: add its public half there", err)
		}
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// run starts a service in time, and leaves it running.
func (w *sshWire) run(ctx context.Context, client *ssh.Client, service string) (*conversation, error) {
	starting, cancel := context.WithTimeout(ctx, sshHandshake)
	defer cancel()
	stop := context.AfterFunc(starting, func() { _ = client.Close() })
	c := &conversation{wire: w}
	err := c.start(client, service+" "+quoted(w.path), service == uploadPack)
	if !stop() && err == nil {
		err = starting.Err()
	}
	if err != nil {
		if starting.Err() != nil {
			err = starting.Err()
		}
		return nil, fmt.Errorf("starting %s on %s: %w", service, w.address, err)
	}
	paced, hangUp := context.WithCancelCause(ctx)
	// A session ends in time only with its connection: a server need not answer.
	c.stop = context.AfterFunc(paced, func() { _ = client.Close() })
	c.ctx = paced
	c.paced = w.pace(service).Watch(paced, hangUp, &counted{ReadCloser: io.NopCloser(c.out), left: w.limit, limit: w.limit, total: &w.traffic.received})
	return c, nil
}

// quoted is an argument as a POSIX shell reads it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// conversation is one service that runs on the server.
type conversation struct {
	wire      *sshWire
	session   *ssh.Session
	ctx       context.Context // of the pace, whose cause explains a failed read; for the conversation only
	in        io.WriteCloser
	out       io.Reader
	paced     io.ReadCloser
	stop      func() bool
	complaint complaint
	heard     bool
}

func (c *conversation) start(client *ssh.Client, command string, version2 bool) (err error) {
	if c.session, err = client.NewSession(); err != nil {
		return err
	}
	if version2 {
		_ = c.session.Setenv("GIT_PROTOCOL", "version=2") // a server that refuses it speaks protocol v0
	}
	c.session.Stderr = &c.complaint
	if c.in, err = c.session.StdinPipe(); err == nil {
		c.out, err = c.session.StdoutPipe()
	}
	if err == nil {
		err = c.session.Start(command)
	}
	if err != nil {
		_ = c.session.Close()
	}
	return err
}

// say hears what the server says first, which is known, and sends a request.
func (c *conversation) say(request []byte) error {
	p := newPackets(c)
	for {
		_, k, err := p.next()
		if err != nil {
			return unexpected(err)
		}
		if k == flush {
			break
		}
	}
	if p.from.Buffered() > 0 {
		return errors.New("the server answers before it is asked")
	}
	c.wire.traffic.sent.Add(int64(len(request)))
	if _, err := c.in.Write(request); err != nil {
		return fmt.Errorf("asking the server: %w", c.explained(err))
	}
	return c.in.Close()
}

func (c *conversation) Read(to []byte) (int, error) {
	n, err := c.paced.Read(to)
	c.heard = c.heard || n > 0
	if err != nil {
		err = c.explained(err)
	}
	return n, err
}

// explained adds why a conversation ended: the time, or what the server complained about.
func (c *conversation) explained(err error) error {
	if cause := context.Cause(c.ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) && !c.heard {
		ended := c.session.Wait()
		if said := c.complaint.String(); said != "" {
			return &errServer{said}
		}
		if ended != nil {
			return ended
		}
	}
	return err
}

func (c *conversation) Close() error {
	ongoing := c.stop()
	_ = c.in.Close()
	_ = c.session.Close() // io.EOF where the server was faster
	if !ongoing {
		return nil
	}
	c.wire.mu.Lock()
	c.wire.used = time.Now()
	c.wire.mu.Unlock()
	return c.paced.Close()
}

// complaint keeps the beginning of what a server writes to standard error.
type complaint struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said.Write(p[:min(len(p), max(0, maxSaid-c.said.Len()))])
	return len(p), nil
}

func (c *complaint) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return oneLine(c.said.String())
}
