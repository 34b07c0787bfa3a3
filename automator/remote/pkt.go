package remote

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxPacket is the largest packet that Git's protocols have, its length included.
const maxPacket = 65520

// kind is what a packet is for.
type kind int

const (
	data  kind = iota
	flush      // 0000: the message ends
	delim      // 0001: a part of it ends
	end        // 0002: the answer ends
)

// errServer is a refusal in the server's own words.
type errServer struct{ text string }

func (e *errServer) Error() string { return "the server says: " + e.text }

// packets reads packets, whose first four bytes are their length in hex.
type packets struct {
	from *bufio.Reader
	buf  []byte
}

func newPackets(from io.Reader) *packets {
	return &packets{from: bufio.NewReaderSize(from, 32<<10)}
}

// next reads one packet; its bytes are valid until the next call. One that begins with ERR is
// the server's error.
func (p *packets) next() ([]byte, kind, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.from, head[:]); err != nil {
		return nil, 0, err
	}
	length, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil {
		return nil, 0, fmt.Errorf("%q is no length of a packet", oneLine(string(head[:])))
	}
	switch {
	case length < 3:
		return nil, flush + kind(length), nil
	case length < 4 || length > maxPacket:
		return nil, 0, fmt.Errorf("a packet of %d bytes", length)
	}
	if p.buf == nil {
		p.buf = make([]byte, maxPacket)
	}
	body := p.buf[:length-4]
	if _, err := io.ReadFull(p.from, body); err != nil {
		return nil, 0, unexpected(err)
	}
	if text, ok := bytes.CutPrefix(body, []byte("ERR ")); ok {
		return nil, 0, &errServer{oneLine(string(text))}
	}
	return body, data, nil
}

// line reads one packet of text, without the line break at its end.
func (p *packets) line() (string, kind, error) {
	body, k, err := p.next()
	return string(bytes.TrimSuffix(body, []byte("\n"))), k, err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// request builds packets.
type request struct{ bytes.Buffer }

func (r *request) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(r, "%04x%s", len(text)+4, text)
}

func (r *request) mark(k kind) { fmt.Fprintf(r, "%04d", k-flush) }

// sideband reads what comes in the first of three channels; the second has messages for
// people, the third a fatal error. It ends where the packets end.
type sideband struct {
	from *packets
	rest []byte
	said []byte // in the second channel, up to maxSaid bytes
	done bool
}

const maxSaid = 4 << 10

func (s *sideband) Read(to []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.done {
			return 0, io.EOF
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(to, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *sideband) fill() error {
	body, k, err := s.from.next()
	switch {
	case err != nil:
		return unexpected(err)
	case k != data:
		s.done = true
		return nil
	case len(body) == 0:
		return errors.New("an empty packet among those with a channel")
	}
	switch body[0] {
	case 1:
		s.rest = body[1:]
	case 2:
		s.said = append(s.said, body[1:min(len(body), 1+maxSaid-len(s.said))]...)
	case 3:
		return &errServer{oneLine(string(body[1:]))}
	default:
		return fmt.Errorf("a packet for channel %d", body[0])
	}
	return nil
}
