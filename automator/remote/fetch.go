package remote

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// want is what a fetch asks for.
type want struct {
	ids    []plumbing.Hash
	haves  []plumbing.Hash // commits whose trees are known, without their parents
	depth  int             // commits; 0: all that is reachable
	filter string          // empty: none
	known  objects         // what deltas may be based on
	limits Limits
}

// fetch asks for objects, in one request.
func (r *Repository) fetch(ctx context.Context, g *greeting, w want) (objects, error) {
	body := w.v2(g)
	if g.version != 2 {
		body = w.v0(g)
	}
	answer, err := r.wire.ask(ctx, uploadPack, body)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	p := newPackets(answer)
	var pack io.Reader
	if g.version == 2 {
		pack, err = packOfV2(p)
	} else {
		pack, err = packOfV0(g, p)
	}
	if err != nil {
		return nil, err
	}
	return unpack(ctx, pack, w.known, w.limits)
}

// canFilter tells whether the server leaves out what a filter names.
func (g *greeting) canFilter() bool {
	if g.version == 2 {
		return g.supports("fetch", "filter")
	}
	return g.has("filter")
}

func (g *greeting) canShallow() bool {
	if g.version == 2 {
		return g.supports("fetch", "shallow")
	}
	return g.has("shallow")
}

// canPick tells whether objects can be asked for by their names.
func (g *greeting) canPick() bool {
	return !g.noPick && (g.version == 2 || g.has("allow-reachable-sha1-in-want") && g.has("allow-tip-sha1-in-want"))
}

func (w want) v2(g *greeting) []byte {
	var ask request
	ask.command(g, "fetch")
	ask.line("no-progress\n")
	ask.line("ofs-delta\n")
	if len(w.known) > 0 {
		ask.line("thin-pack\n")
	}
	for _, id := range w.ids {
		ask.line("want %s\n", id)
	}
	for _, id := range w.haves {
		ask.line("shallow %s\n", id)
		ask.line("have %s\n", id)
	}
	if w.depth > 0 && g.canShallow() {
		ask.line("deepen %d\n", w.depth)
	}
	if w.filter != "" && g.canFilter() {
		ask.line("filter %s\n", w.filter)
	}
	ask.line("done\n")
	ask.mark(flush)
	return ask.Bytes()
}

// v0 asks in one round, also where a client could ask again after each acknowledgement. Some
// servers want it to understand all kinds of them.
func (w want) v0(g *greeting) []byte {
	var ask request
	words := []string{"agent=" + agent}
	for _, word := range []string{"multi_ack_detailed", "side-band-64k", "side-band", "ofs-delta", "no-progress", "shallow", "filter"} {
		if g.has(word) && !(word == "side-band" && g.has("side-band-64k")) {
			words = append(words, word)
		}
	}
	if len(w.known) > 0 && g.has("thin-pack") {
		words = append(words, "thin-pack")
	}
	for i, id := range w.ids {
		if i == 0 {
			ask.line("want %s %s\n", id, strings.Join(words, " "))
			continue
		}
		ask.line("want %s\n", id)
	}
	for _, id := range w.haves {
		ask.line("shallow %s\n", id)
	}
	if w.depth > 0 && g.canShallow() {
		ask.line("deepen %d\n", w.depth)
	}
	if w.filter != "" && g.canFilter() {
		ask.line("filter %s\n", w.filter)
	}
	ask.mark(flush)
	for _, id := range w.haves {
		ask.line("have %s\n", id)
	}
	ask.line("done\n")
	return ask.Bytes()
}

// packOfV2 reads up to the pack, whose part is the last one.
func packOfV2(p *packets) (io.Reader, error) {
	for range maxRefs {
		line, k, err := p.line()
		switch {
		case err != nil:
			return nil, unexpected(err)
		case k == data && line == "packfile":
			return &sideband{from: p}, nil
		case k == flush || k == end:
			return nil, errors.New("the answer has no pack")
		}
	}
	return nil, errors.New("the answer does not come to the pack")
}

// packOfV0 reads past the borders of the history and the acknowledgements: the last one is
// NAK, or has no more than ACK and a commit.
func packOfV0(g *greeting, p *packets) (io.Reader, error) {
	for range maxRefs {
		line, _, err := p.line()
		if err != nil {
			return nil, unexpected(err)
		}
		if line != "NAK" && (!strings.HasPrefix(line, "ACK ") || strings.Count(line, " ") > 1) {
			continue
		}
		if g.has("side-band-64k") || g.has("side-band") {
			return &sideband{from: p}, nil
		}
		return p.from, nil
	}
	return nil, errors.New("the answer does not come to the pack")
}
