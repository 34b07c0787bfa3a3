package objects

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"sealift.dev/internal/strict"
	k8syaml "sigs.k8s.io/yaml"
)

// Document is one YAML document, as JSON.
type Document struct {
	Line int // where it begins in its file, from 1
	JSON []byte
	// order and mac are those of a document that SOPS encrypted.
	order []string
	mac   string
}

// Documents splits a file and reads each document as Kubernetes does. A file
// called .json holds one JSON value. Empty documents are left out.
func Documents(f File, limits Limits) ([]Document, error) {
	if err := checkText(f.Data); err != nil {
		return nil, fmt.Errorf("%q: %w", f.Path, err)
	}
	if path.Ext(f.Path) == ".json" {
		return jsonDocument(f, limits)
	}
	var documents []Document
	line := 1
	rest := bytes.TrimPrefix(f.Data, []byte("\uFEFF"))
	for len(rest) > 0 {
		var chunks []chunk
		chunks, rest, line = nextBatch(rest, line)
		inParallel(len(chunks), func(i int) { chunks[i].convert(limits) })
		for _, c := range chunks {
			if c.err != nil {
				return nil, fmt.Errorf("%q line %d: %w", f.Path, c.line-1+max(c.at, 1), c.err)
			}
			if c.converted != nil {
				documents = append(documents, Document{Line: c.line - 1 + c.at, JSON: c.converted, order: c.order, mac: c.mac})
			}
		}
		if len(documents) > limits.Documents {
			return nil, fmt.Errorf("%q holds more than %d documents: %w", f.Path, limits.Documents, ErrLimit)
		}
	}
	return documents, nil
}

// chunk is what stands between two document markers, and what became of it.
type chunk struct {
	data []byte
	line int // where it begins in its file

	converted []byte
	at        int // the line in the chunk of its first value, or of the error
	err       error
	order     []string
	mac       string
}

func (c *chunk) convert(limits Limits) { c.converted, c.at, c.err = c.read(limits) }

// A batch is read at once. A larger document is a batch of its own, so that reading
// several takes no more memory than reading the largest one.
const (
	batchBytes  = 128 << 10
	batchChunks = 256
)

// nextBatch cuts chunks from data, whose first line is the file's line from.
func nextBatch(data []byte, from int) (chunks []chunk, rest []byte, line int) {
	line = from
	for size := 0; len(data) > 0 && len(chunks) < batchChunks; {
		next, after := nextChunk(data)
		if size += len(next); size > batchBytes && len(chunks) > 0 {
			break
		}
		chunks = append(chunks, chunk{data: next, line: line})
		line += bytes.Count(next, []byte("\n"))
		data = after
	}
	return chunks, data, line
}

func jsonDocument(f File, limits Limits) ([]Document, error) {
	if int64(len(f.Data)) > limits.Document {
		return nil, fmt.Errorf("%q is larger than %d bytes: %w", f.Path, limits.Document, ErrLimit)
	}
	if nodesAtMost(f.Data, true) > limits.Values {
		return nil, fmt.Errorf("%q holds more than %d values: %w", f.Path, limits.Values, ErrLimit)
	}
	if len(bytes.TrimSpace(f.Data)) == 0 {
		return nil, nil
	}
	var value any
	if err := strict.Unmarshal(f.Data, &value); err != nil {
		line := 1
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line += bytes.Count(f.Data[:min(int(syntax.Offset), len(f.Data))], []byte("\n"))
		}
		return nil, fmt.Errorf("%q line %d: %w", f.Path, line, err)
	}
	d := Document{Line: 1, JSON: f.Data}
	var root yaml.Node
	if bytes.Contains(f.Data, []byte(sopsKey)) && yaml.Unmarshal(f.Data, &root) == nil {
		d.order, d.mac = orderOf(&root)
	}
	return []Document{d}, nil
}

// checkText refuses what is not UTF-8 text: images, UTF-16, control characters.
func checkText(data []byte) error {
	line := 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return fmt.Errorf("line %d is not UTF-8 text", line)
		case r == '\n':
			line++
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85:
			return fmt.Errorf("line %d holds the control character %U", line, r)
		}
		i += size
	}
	return nil
}

// nextChunk cuts at the next line that begins with "---": at the start of a line
// that is a document marker everywhere in YAML, block scalars included.
func nextChunk(data []byte) (chunk, rest []byte) {
	from := 0
	for {
		end := bytes.IndexByte(data[from:], '\n')
		if end < 0 {
			return data, nil
		}
		from += end + 1
		if isMarker(data[from:]) {
			return data[:from], data[from:]
		}
	}
}

func isMarker(line []byte) bool {
	after, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(after) == 0 || bytes.IndexByte([]byte(" \t\r\n"), after[0]) >= 0)
}

// read converts the chunk. It returns nil for an empty document, and the line
// in the chunk of the first value or of the error.
func (c *chunk) read(limits Limits) (converted []byte, line int, err error) {
	chunk := c.data
	if int64(len(chunk)) > limits.Document {
		return nil, 0, fmt.Errorf("a document of more than %d bytes: %w", limits.Document, ErrLimit)
	}
	if nodesAtMost(chunk, false) > limits.Values {
		return nil, 0, fmt.Errorf("a document of more than %d values: %w", limits.Values, ErrLimit)
	}
	dec := yaml.NewDecoder(bytes.NewReader(chunk))
	var root yaml.Node
	if err := dec.Decode(&root); errors.Is(err, io.EOF) {
		return nil, 0, nil
	} else if err != nil {
		line, err := yamlError(err)
		return nil, line, err
	}
	if at, err := checkNodes(&root, limits); err != nil {
		return nil, at, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, root.Line, errors.New(`a second document follows without "---"`)
	}
	line, null := root.Content[0].Line, root.Content[0].Tag == "!!null"
	if null {
		return nil, 0, nil
	}
	c.order, c.mac = orderOf(&root)
	root = yaml.Node{} // the conversion needs as much memory again
	converted, err = k8syaml.YAMLToJSONStrict(chunk)
	if err != nil {
		line, err := yamlError(err)
		return nil, line, err
	}
	return converted, line, nil
}

var yamlLine = regexp.MustCompile(`(?s)^(?:error converting YAML to JSON: )?yaml: (?:unmarshal errors:\s+)?(?:line (\d+): )?(.*)$`)

// yamlError takes the line out of a parser's message.
func yamlError(err error) (int, error) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, err
	}
	line, _ := strconv.Atoi(m[1])
	return max(line, 1), fmt.Errorf("reading YAML: %s", m[2])
}
