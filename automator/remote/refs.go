package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Refs are the commits (or tags) that the refs of these full names are at, as hex ids; a ref
// that is not there is not in the map.
func (r *Repository) Refs(ctx context.Context, names ...string) (map[string]string, error) {
	for _, name := range names {
		if err := checkRef(name); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, _, err := r.refs(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("reading the branches of %s: %w", r.url, hinted(err))
	}
	found := map[string]string{}
	for _, name := range names {
		if id, ok := at[name]; ok {
			found[name] = id.String()
		}
	}
	return found, nil
}

// checkRef keeps names off the wire that would be read as something else there.
func checkRef(name string) error {
	const most = 1000
	odd := strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f })
	if odd || len(name) > most || !strings.HasPrefix(name, "refs/") {
		return fmt.Errorf("%q is no ref; hint: a branch's name has no blanks and at most %d bytes", oneLine(name), most)
	}
	return nil
}

// DefaultBranch is the branch that the remote's HEAD names, without refs/heads/. An empty
// repository may have one that is not there yet.
func (r *Repository) DefaultBranch(ctx context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, head, err := r.refs(ctx, []string{"HEAD"})
	if err != nil {
		return "", fmt.Errorf("reading the default branch of %s: %w", r.url, hinted(err))
	}
	branch, ok := strings.CutPrefix(head, "refs/heads/")
	if !ok {
		return "", fmt.Errorf("%s does not name a default branch; hint: name one", r.url)
	}
	return branch, nil
}

// refs lists the refs that begin with one of names, and what HEAD stands for if it is listed.
func (r *Repository) refs(ctx context.Context, names []string) (map[string]plumbing.Hash, string, error) {
	known := r.reader != nil
	g, err := r.greet(ctx)
	if err != nil || g.version != 2 {
		return greeted(g), headOf(g), err
	}
	at, head, err := r.lsRefs(ctx, g, names)
	if err != nil && known && ctx.Err() == nil {
		// The server may be another one than the one that was asked what it can do.
		if r.reader = nil; retriable(err) {
			return r.refs(ctx, names)
		}
	}
	return at, head, err
}

func greeted(g *greeting) map[string]plumbing.Hash {
	if g == nil {
		return nil
	}
	return g.refs
}

func headOf(g *greeting) string {
	if g == nil {
		return ""
	}
	return g.head
}

func (r *Repository) lsRefs(ctx context.Context, g *greeting, names []string) (map[string]plumbing.Hash, string, error) {
	var ask request
	ask.command(g, "ls-refs")
	ask.line("symrefs\n")
	if g.supports("ls-refs", "unborn") {
		ask.line("unborn\n")
	}
	for _, name := range names {
		ask.line("ref-prefix %s\n", name)
	}
	ask.mark(flush)
	answer, err := r.wire.ask(ctx, uploadPack, ask.Bytes())
	if err != nil {
		return nil, "", err
	}
	defer answer.Close()
	return readRefs(newPackets(answer))
}

// readRefs reads an answer to ls-refs: ID NAME [symref-target:NAME], or unborn for an ID.
func readRefs(p *packets) (at map[string]plumbing.Hash, head string, err error) {
	at = map[string]plumbing.Hash{}
	for range maxRefs {
		line, k, err := p.line()
		if err != nil {
			return nil, "", unexpected(err)
		}
		if k != data {
			return at, head, nil
		}
		words := strings.Split(line, " ")
		if len(words) < 2 || words[0] != "unborn" && !plumbing.IsHash(words[0]) {
			return nil, "", fmt.Errorf("%q is no ref", oneLine(line))
		}
		if words[0] != "unborn" {
			at[words[1]] = plumbing.NewHash(words[0])
		}
		for _, word := range words[2:] {
			if target, ok := strings.CutPrefix(word, "symref-target:"); ok && words[1] == "HEAD" {
				head = target
			}
		}
	}
	return nil, "", fmt.Errorf("more than %d refs", maxRefs)
}

// command begins a request of protocol v2.
func (r *request) command(g *greeting, name string) {
	r.line("command=%s\n", name)
	if g.has("agent") {
		r.line("agent=%s\n", agent)
	}
	if g.has("object-format") {
		r.line("object-format=sha1\n")
	}
	r.mark(delim)
}

// agent is the program's name towards servers.
const agent = "sealift"

// retriable tells whether an error may come from what was remembered about the server.
func retriable(err error) bool {
	var status *errStatus
	if errors.As(err, &status) {
		return status.code == 301 || status.code == 302 || status.code == 307 || status.code == 308 || status.code == 404
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
