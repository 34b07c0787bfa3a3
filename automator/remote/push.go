package remote

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Update moves one ref. The server does so only if the ref is at Old, so nobody's commit is
// lost; an empty Old makes a ref that is not there. New need not descend from Old.
type Update struct {
	Ref string // full: refs/heads/main
	Old string // hex
	New Pending
}

// PushOptions of a push. The zero value has none.
type PushOptions struct {
	Options []string // as git push -o sends them; an error if the server takes none
	Atomic  bool     // all refs move, or none; ErrNotAtomic if the server says that it cannot
}

// RejectedError is a ref that the server did not move.
type RejectedError struct {
	Ref    string
	Reason string // of the server, on one line
}

func (e *RejectedError) Error() string { return "the push to " + e.Ref + " was rejected: " + e.Reason }

// Rejections are the refs that an error of Push tells of.
func Rejections(err error) []*RejectedError {
	var found []*RejectedError
	switch e := err.(type) {
	case nil:
	case *RejectedError:
		found = append(found, e)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			found = append(found, Rejections(err)...)
		}
	case interface{ Unwrap() error }:
		found = Rejections(e.Unwrap())
	}
	return found
}

// Push moves refs in one request. What the server refuses is in the error, as one
// *RejectedError for each ref (see Rejections); the other refs have moved. Any other error
// may come after refs have moved.
func (r *Repository) Push(ctx context.Context, updates []Update, o PushOptions) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.push(ctx, updates, o)
	if err == nil || len(Rejections(err)) > 0 {
		return err
	}
	return fmt.Errorf("pushing to %s: %w", r.url, hinted(err))
}

func (r *Repository) push(ctx context.Context, updates []Update, o PushOptions) error {
	g, err := r.greetWriter(ctx, o)
	if err != nil {
		return err
	}
	ask, err := pushRequest(g, updates, o)
	if err != nil {
		return err
	}
	answer, err := r.wire.ask(ctx, receivePack, ask)
	if err != nil {
		return err
	}
	defer answer.Close()
	report, said, err := readReport(g, answer)
	if err != nil {
		if said != "" {
			err = fmt.Errorf("%w (%s)", err, said)
		}
		return err
	}
	return r.settle(updates, report, said)
}

// ErrNotAtomic says that a server cannot move several refs at once or none.
var ErrNotAtomic = errors.New("the server cannot move several refs at once or none; hint: push them one by one")

// greetWriter says what the server can do with pushes. Asking is one request, whose answer is
// kept, so it is not asked where a push needs no more than what all servers can. Git ignores
// what is switched off, so a server's word is needed for Atomic.
func (r *Repository) greetWriter(ctx context.Context, o PushOptions) (*greeting, error) {
	switch {
	case r.writer != nil:
		return r.writer, nil
	case r.wire.stateless() && r.reader != nil && len(o.Options) == 0 && !o.Atomic:
		return &greeting{can: map[string]string{"report-status": "", "side-band-64k": ""}}, nil
	}
	g, err := r.hello(ctx, receivePack)
	if err == nil {
		g.refs = nil
		r.writer = g
	}
	return g, err
}

// pushRequest has the commands, the options, and a pack of what the server lacks.
func pushRequest(g *greeting, updates []Update, o PushOptions) ([]byte, error) {
	words, err := pushWords(g, o)
	if err != nil {
		return nil, err
	}
	if len(updates) == 0 {
		return nil, errors.New("there is nothing to push")
	}
	var ask request
	lacking := objects{}
	creates := false
	for i, u := range updates {
		if err := checkRef(u.Ref); err != nil {
			return nil, err
		}
		if u.Old != "" && !plumbing.IsHash(u.Old) {
			return nil, fmt.Errorf("%q of %s is no commit's id", oneLine(u.Old), u.Ref)
		}
		ask.line("%s %s %s%s\n", plumbing.NewHash(u.Old), u.New.id, u.Ref, words)
		if i == 0 {
			words = ""
		}
		creates = creates || !u.New.id.IsZero()
		if u.New.snapshot != nil {
			maps.Copy(lacking, u.New.snapshot.unpushed)
		}
	}
	ask.mark(flush)
	if len(o.Options) > 0 {
		for _, option := range o.Options {
			ask.line("%s", option)
		}
		ask.mark(flush)
	}
	if creates {
		err = writePack(&ask, lacking)
	}
	return ask.Bytes(), err
}

func pushWords(g *greeting, o PushOptions) (string, error) {
	words := "\x00 report-status"
	if g.has("side-band-64k") {
		words += " side-band-64k"
	}
	if o.Atomic {
		if !g.has("atomic") {
			return "", ErrNotAtomic
		}
		words += " atomic"
	}
	if len(o.Options) > 0 {
		if !g.has("push-options") {
			return "", errors.New("the server takes no push options; hint: leave them out, or set receive.advertisePushOptions there")
		}
		for _, option := range o.Options {
			if strings.ContainsAny(option, "\n\x00") || len(option) > maxSaid {
				return "", fmt.Errorf("the push option %q has more than one line, or more than %d bytes", oneLine(option), maxSaid)
			}
		}
		words += " push-options"
	}
	return words + " agent=" + agent, nil
}

// writePack writes objects as they are, without deltas.
func writePack(to io.Writer, what objects) error {
	sum := sha1.New() // Git's format has no other
	out := io.MultiWriter(to, sum)
	header := append([]byte("PACK\x00\x00\x00\x02"), binary.BigEndian.AppendUint32(nil, uint32(len(what)))...)
	if _, err := out.Write(header); err != nil {
		return err
	}
	order := slices.SortedFunc(maps.Keys(what), func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range order {
		if err := writeObject(out, what[id]); err != nil {
			return err
		}
	}
	_, err := to.Write(sum.Sum(nil))
	return err
}

// writeObject writes the kind and the size, seven bits a byte but for four in the first, and
// the content.
func writeObject(to io.Writer, o gitObject) error {
	size := len(o.data)
	head := []byte{byte(o.kind)<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		head[len(head)-1] |= 0x80
		head = append(head, byte(size&0x7f))
	}
	if _, err := to.Write(head); err != nil {
		return err
	}
	z := zlib.NewWriter(to)
	if _, err := z.Write(o.data); err != nil {
		return err
	}
	return z.Close()
}

// readReport reads what became of each ref: empty for moved, else why not.
func readReport(g *greeting, answer io.Reader) (report map[string]string, said string, err error) {
	p := newPackets(answer)
	var channel *sideband
	if g.has("side-band-64k") {
		channel = &sideband{from: p}
		p = newPackets(channel)
	}
	report = map[string]string{}
	unpacked := ""
	for range maxRefs {
		line, k, readErr := p.line()
		if channel != nil {
			said = oneLine(string(channel.said))
		}
		if errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF) || readErr == nil && k != data {
			break
		}
		if readErr != nil {
			return nil, said, readErr
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch ref, reason, _ := strings.Cut(rest, " "); verb {
		case "unpack":
			unpacked = rest
		case "ok":
			report[ref] = ""
		case "ng":
			report[ref] = oneLine("the server says: " + reason)
		}
	}
	if unpacked == "" {
		return nil, said, errors.New("the server does not say whether it took the push")
	}
	if unpacked != "ok" && len(report) == 0 {
		return nil, said, &errServer{oneLine(unpacked)}
	}
	return report, said, nil
}

// settle makes errors of what was refused, and remembers what was taken.
func (r *Repository) settle(updates []Update, report map[string]string, said string) error {
	var errs []error
	for _, u := range updates {
		reason, told := report[u.Ref]
		switch {
		case !told:
			reason = "the server does not say what became of it"
		case reason == "":
			r.pushed(u.New.snapshot)
			continue
		}
		if said != "" {
			reason = oneLine(reason + " (" + said + ")")
		}
		errs = append(errs, &RejectedError{Ref: u.Ref, Reason: reason})
	}
	return errors.Join(errs...)
}

// pushed remembers a commit that is on the server now.
func (r *Repository) pushed(s *Snapshot) {
	if s == nil || s.unpushed == nil {
		return
	}
	if s.files != nil {
		s.files = maps.Clone(s.files)
		for id, o := range s.unpushed {
			if o.kind == plumbing.BlobObject {
				s.files[id] = o
			}
		}
	}
	s.unpushed = nil
	r.remember(s)
}
