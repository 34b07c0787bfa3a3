package hold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Add puts a hold into the file, in place of one about the same version. Every other byte
// stays. Empty data: there is no file yet.
func Add(data []byte, e Entry) ([]byte, error) {
	e.Since, e.Until = e.Since.UTC().Truncate(time.Second), e.Until.UTC().Truncate(time.Second)
	f, err := open(data, e)
	if err != nil {
		return nil, err
	}
	want := f.parsed
	want.Holds = append(slices.DeleteFunc(slices.Clone(want.Holds), e.about), e)
	f.remove("holds", e.about)
	f.append("holds", e)
	return f.finish(want)
}

// Release takes an image's holds away: that of e.Version if it has one, else all. With lift,
// an entry is added that ends automatic ones. Removed are the holds that are gone; without
// any, and without lift, the file stays as it is.
func Release(data []byte, e Entry, lift bool) (out []byte, removed []Entry, err error) {
	e.Since, e.Until = e.Since.UTC().Truncate(time.Second), e.Until.UTC().Truncate(time.Second)
	f, err := open(data, e)
	if err != nil {
		return nil, nil, err
	}
	covers := func(o Entry) bool { return same(o.Image, e.Image) && (e.Version == "" || o.Version == e.Version) }
	want := f.parsed
	want.Holds = slices.DeleteFunc(slices.Clone(want.Holds), func(o Entry) bool {
		if covers(o) {
			removed = append(removed, o)
		}
		return covers(o)
	})
	if len(removed) == 0 && !lift {
		return data, nil, nil
	}
	f.remove("holds", covers)
	if lift {
		want.Releases = append(slices.DeleteFunc(slices.Clone(want.Releases), e.about), e)
		f.remove("releases", e.about)
		f.append("releases", e)
	}
	out, err = f.finish(want)
	return out, removed, err
}

// about says that an entry is about the same version of the same image.
func (e Entry) about(o Entry) bool { return same(e.Image, o.Image) && e.Version == o.Version }

// editor changes lines of the file.
type editor struct {
	lines  []string // with their ends
	end    string   // of a new line
	parsed File     // before the edit
	err    error
}

func open(data []byte, e Entry) (*editor, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	f := &editor{end: "\n"}
	if len(bytes.TrimSpace(data)) == 0 {
		f.lines = []string{"apiVersion: " + apiVersion + "\n", "kind: " + kind + "\n"}
		return f, nil
	}
	parsed, err := Parse(data)
	if err != nil {
		return nil, err
	}
	f.parsed = parsed
	f.lines = slices.Collect(strings.Lines(string(data)))
	if strings.HasSuffix(f.lines[0], "\r\n") {
		f.end = "\r\n"
	}
	return f, nil
}

// finish proves that the edit did what it should, and nothing else.
func (f *editor) finish(want File) ([]byte, error) {
	if f.err != nil {
		return nil, fmt.Errorf("editing %s: %w", Path, f.err)
	}
	out := []byte(strings.Join(f.lines, ""))
	got, err := Parse(out)
	if err != nil {
		return nil, fmt.Errorf("editing %s: %w", Path, err)
	}
	if len(want.Holds)+len(got.Holds) > 0 && !reflect.DeepEqual(want.Holds, got.Holds) ||
		len(want.Releases)+len(got.Releases) > 0 && !reflect.DeepEqual(want.Releases, got.Releases) {
		return nil, fmt.Errorf("editing %s: something else would change with it; hint: %s", Path, plain)
	}
	return out, nil
}

const plain = "write one entry below the other, each behind a dash on a line of its own"

// list finds a list of the file: its key, and its value.
func (f *editor) list(name string) (key, value *yaml.Node) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(strings.Join(f.lines, "")), &root); err != nil || len(root.Content) != 1 {
		f.err = errors.Join(f.err, err)
		return nil, nil
	}
	pairs := root.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i].Value == name {
			return pairs[i], pairs[i+1]
		}
	}
	return nil, nil
}

// remove deletes the lines of the entries that match.
func (f *editor) remove(name string, match func(Entry) bool) {
	all := f.parsed.Holds
	if name == "releases" {
		all = f.parsed.Releases
	}
	if !slices.ContainsFunc(all, match) || f.err != nil {
		return
	}
	key, value := f.list(name)
	if value == nil || value.Style&yaml.FlowStyle != 0 || len(value.Content) != len(all) {
		f.err = fmt.Errorf("%s cannot be edited; hint: %s", name, plain)
		return
	}
	left := len(all)
	for i, node := range slices.Backward(value.Content) {
		if !match(all[i]) {
			continue
		}
		first, end := f.item(node.Line-1, value.Column-1)
		f.lines = slices.Delete(f.lines, first, end)
		left--
	}
	if left == 0 {
		line := f.lines[key.Line-1]
		f.lines[key.Line-1] = strings.Replace(line, name+":", name+": []", 1)
	}
}

// item finds the lines of an entry: those from its dash on that are indented deeper.
func (f *editor) item(line, indent int) (first, end int) {
	for first = line; first > 0 && !strings.HasPrefix(strings.TrimLeft(f.lines[first], " "), "-"); first-- {
	}
	end = first + 1
	for i := end; i < len(f.lines); i++ {
		text := strings.TrimRight(f.lines[i], " \r\n")
		if text == "" {
			continue
		}
		if len(text)-len(strings.TrimLeft(text, " ")) <= indent {
			break
		}
		end = i + 1
	}
	return first, end
}

// append puts an entry behind the last one of a list.
func (f *editor) append(name string, e Entry) {
	if f.err != nil {
		return
	}
	key, value := f.list(name)
	at, indent := len(f.lines), 2
	switch {
	case key == nil:
		f.newline()
		f.lines = append(f.lines, name+":"+f.end)
		at = len(f.lines)
	case value.Kind == yaml.SequenceNode && len(value.Content) > 0 && value.Style&yaml.FlowStyle == 0:
		indent = value.Column - 1
		_, at = f.item(value.Content[len(value.Content)-1].Line-1, indent)
	case len(value.Content) == 0 && value.Line <= key.Line:
		line := f.lines[key.Line-1]
		f.lines[key.Line-1] = regexp.MustCompile(name+`:[ \t]*(\[[ \t]*\])?`).ReplaceAllString(line, name+":")
		at = key.Line
	default:
		f.err = fmt.Errorf("%s cannot be edited; hint: %s", name, plain)
		return
	}
	if at == len(f.lines) {
		f.newline()
	}
	f.lines = slices.Insert(f.lines, at, f.text(e, indent)...)
}

// newline ends the last line.
func (f *editor) newline() {
	if last := len(f.lines) - 1; !strings.HasSuffix(f.lines[last], "\n") {
		f.lines[last] += f.end
	}
}

// text is an entry as lines.
func (f *editor) text(e Entry, indent int) []string {
	begin := strings.Repeat(" ", indent) + "- "
	var lines []string
	for _, field := range []struct{ name, text string }{
		{"image", scalar(e.Image)}, {"version", quoted(e.Version)}, {"reason", quoted(e.Reason)}, {"by", quoted(e.By)},
		{"since", stamp(e.Since)}, {"until", stamp(e.Until)},
	} {
		if field.text != "" {
			lines = append(lines, begin+field.name+": "+field.text+f.end)
			begin = strings.Repeat(" ", indent) + "  "
		}
	}
	return lines
}

// scalar quotes what YAML may not read as text.
func scalar(s string) string {
	if regexp.MustCompile(`^[a-z][a-z0-9-]*:[a-z0-9-]+$`).MatchString(s) {
		return s
	}
	return quoted(s)
}

// quoted is a JSON string, which YAML reads as well; empty for no text.
func quoted(s string) string {
	if s == "" {
		return ""
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		return "" // not reached: s is text
	}
	return strings.TrimSpace(out.String())
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return quoted(t.UTC().Format(time.RFC3339))
}
