package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Services of a Git server.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// maxRefs bounds what a server may list.
const maxRefs = 1_000_000

// wire carries one request at a time to one repository. Answers are bounded in size and pace.
type wire interface {
	// hello returns what the server says before it is asked anything.
	hello(ctx context.Context, service string) (io.ReadCloser, error)
	// ask sends a request and returns the answer to it.
	ask(ctx context.Context, service string, request []byte) (io.ReadCloser, error)
	// stateless tells that ask needs no hello, which may list every ref.
	stateless() bool
	close()
}

// greeting is what a server says first: what it can do and, before protocol v2, its refs.
type greeting struct {
	version int // 0 or 2; 1 is like 0
	can     map[string]string
	head    string // the full name that HEAD stands for; empty: not told
	refs    map[string]plumbing.Hash
	noPick  bool // it has refused to give single files
}

// supports tells whether one of the words behind a capability is word.
func (g *greeting) supports(capability, word string) bool {
	for _, w := range strings.Fields(g.can[capability]) {
		if w == word {
			return true
		}
	}
	return false
}

func (g *greeting) has(capability string) bool {
	_, ok := g.can[capability]
	return ok
}

func readGreeting(from io.Reader) (*greeting, error) {
	p := newPackets(from)
	first, k, err := p.line()
	if err == nil && strings.HasPrefix(first, "# service=") {
		if _, k, err = p.next(); err == nil && k == flush {
			first, k, err = p.line()
		}
	}
	if err != nil {
		return nil, unexpected(err)
	}
	g := &greeting{can: map[string]string{}, refs: map[string]plumbing.Hash{}}
	switch {
	case k == data && first == "version 2":
		g.version = 2
		err = g.readCapabilities(p)
	case k == data && first == "version 1":
		if first, k, err = p.line(); err == nil {
			err = g.readRefs(p, first, k)
		}
	default:
		err = g.readRefs(p, first, k)
	}
	if err != nil {
		return nil, unexpected(err)
	}
	if format, ok := g.can["object-format"]; ok && format != "sha1" {
		return nil, fmt.Errorf("its objects are named by %s; hint: only repositories with SHA-1 are supported", oneLine(format))
	}
	return g, nil
}

func (g *greeting) readCapabilities(p *packets) error {
	for range 1000 {
		line, k, err := p.line()
		if err != nil || k != data {
			return err
		}
		name, value, _ := strings.Cut(line, "=")
		g.can[name] = value
	}
	return errors.New("more than 1000 capabilities")
}

// readRefs reads the advertisement before protocol v2, whose first line has the capabilities.
func (g *greeting) readRefs(p *packets, line string, k kind) error {
	line, words, _ := strings.Cut(line, "\x00")
	for _, word := range strings.Fields(words) {
		name, value, _ := strings.Cut(word, "=")
		if target, ok := strings.CutPrefix(value, "HEAD:"); ok && name == "symref" {
			g.head = target
		}
		g.can[name] = value
	}
	for range maxRefs {
		if k != data {
			return nil
		}
		id, name, ok := strings.Cut(line, " ")
		if shallow := id == "shallow"; !shallow {
			if !ok || !plumbing.IsHash(id) {
				return fmt.Errorf("%q is no ref", oneLine(line))
			}
			g.refs[name] = plumbing.NewHash(id)
		}
		var err error
		if line, k, err = p.line(); err != nil {
			return err
		}
	}
	return fmt.Errorf("it has more than %d refs", maxRefs)
}

// greet asks what the server can do. Protocol v2 has no refs in it, so that answer is kept.
func (r *Repository) greet(ctx context.Context) (*greeting, error) {
	if r.reader != nil {
		return r.reader, nil
	}
	g, err := r.hello(ctx, uploadPack)
	if err == nil && g.version == 2 {
		r.reader = g
	}
	return g, err
}

func (r *Repository) hello(ctx context.Context, service string) (*greeting, error) {
	answer, err := r.wire.hello(ctx, service)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	if service != receivePack {
		return readGreeting(answer)
	}
	g, err := readAbilities(answer)
	if err == nil && r.wire.stateless() {
		const enough = 16 << 10
		// Where little is left, the connection can be used again.
		if _, err = io.CopyN(io.Discard, answer, enough); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	return g, err
}

// readAbilities reads what a server can do, from its first line, and leaves out the refs behind
// it, which may be thousands.
func readAbilities(from io.Reader) (*greeting, error) {
	const headers = 4 // what may come before the first line
	var first bytes.Buffer
	p := newPackets(io.TeeReader(from, &first))
	for range headers {
		body, k, err := p.next()
		if err != nil {
			return nil, unexpected(err)
		}
		if k == data && !bytes.HasPrefix(body, []byte("# service=")) && !bytes.HasPrefix(body, []byte("version ")) {
			break
		}
	}
	read := first.Bytes()[:first.Len()-p.from.Buffered()]
	return readGreeting(io.MultiReader(bytes.NewReader(read), strings.NewReader("0000")))
}
