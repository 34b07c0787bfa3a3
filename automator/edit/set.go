package edit

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// settle orders the places, and finds those that stand in each other's way.
func (f *File) settle() {
	slices.SortStableFunc(f.places, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.start, b.start))
	})
	f.separate()
	digests := map[string]Place{}
	paired, stuck := map[family]bool{}, map[family]Place{}
	for _, p := range f.places {
		if p.Part == Digest {
			digests[p.Policy] = p
			paired[p.family()] = true
		}
		if p.Part != Name && (p.Problem != "" || p.Hold) {
			stuck[p.family()] = p
		}
	}
	for i, p := range f.places {
		digest, ok := digests[p.Policy]
		if !ok || p.Policy == "" {
			continue
		}
		f.places[i].pinned = fmt.Sprintf("line %d has the digest of this image, and no digest was resolved; hint: pin: IfNotPresent", digest.Line)
		other, ok := stuck[p.family()]
		if !ok || !paired[p.family()] {
			other, ok = stuck[family{policy: p.Policy, parent: unknown}]
		}
		if ok {
			f.places[i].blocked = fmt.Sprintf("line %d belongs to it, and cannot be written", other.Line)
		}
	}
}

// family are the places of an image that belong together: those in one mapping.
type family struct {
	policy string
	parent int
}

// unknown is the parent of places that are nowhere; they may belong to any other.
const unknown = -1

func (p Place) family() family {
	if p.node < 0 && p.expression == nil {
		return family{policy: p.Policy, parent: unknown}
	}
	return family{policy: p.Policy, parent: p.parent}
}

// separate drops places that are there twice, and marks those that overlap.
func (f *File) separate() {
	slices.SortStableFunc(f.places, func(a, b Place) int { return cmp.Compare(a.start, b.start) })
	kept := f.places[:0]
	last := -1 // the one that reaches furthest
	for _, p := range f.places {
		if p.Problem != "" || last < 0 || p.start >= kept[last].end {
			kept = append(kept, p)
			if p.Problem == "" {
				last = len(kept) - 1
			}
			continue
		}
		q := &kept[last]
		if p.start == q.start && p.end == q.end && p.Policy == q.Policy && p.Part == q.Part {
			q.Hold = q.Hold || p.Hold
			continue
		}
		p.Problem = fmt.Sprintf("%s of line %d writes there, too", q.name(), q.Line)
		q.overlapped = fmt.Sprintf("%s of line %d writes there, too", p.name(), p.Line)
		kept = append(kept, p)
		if p.end > q.end {
			last = len(kept) - 1
		}
	}
	for i := range kept {
		if kept[i].overlapped != "" && kept[i].Problem == "" {
			kept[i].Problem = kept[i].overlapped
		}
	}
	f.places = kept
	slices.SortStableFunc(f.places, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.start, b.start))
	})
}

// Texts are the values that the places should hold, by index, and why others are left
// alone. image says what a policy has come to; false: its places are not looked at.
func (f *File) Texts(image func(policy string) (Image, bool)) (values, reasons map[int]string) {
	values, reasons = map[int]string{}, map[int]string{}
	for i, p := range f.places {
		img, ok := image(p.Policy)
		if !ok {
			continue
		}
		switch text, reason := p.Text(img); {
		case reason != "":
			reasons[i] = reason
		case text != p.Value:
			values[i] = text
		}
	}
	return values, reasons
}

// Set returns the file with values at places, by index. Only the bytes of those values are
// others than before; it is parsed again, and refused if anything else has changed. The
// error does not name the file.
func (f *File) Set(values map[int]string) ([]byte, error) {
	order := slices.SortedFunc(maps.Keys(values), func(a, b int) int {
		if a < 0 || b < 0 || a >= len(f.places) || b >= len(f.places) {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(f.places[a].start, f.places[b].start)
	})
	var out []byte
	s := splice{want: map[int]string{}, written: map[*Target]map[int]string{}}
	at, changed := 0, false
	for _, i := range order {
		if i < 0 || i >= len(f.places) {
			return nil, fmt.Errorf("there is no place %d", i)
		}
		p := f.places[i]
		if values[i] == p.Value {
			continue
		}
		text, err := f.spell(p, values[i])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.Line, err)
		}
		out = append(append(out, f.data[at:p.start]...), text...)
		at, changed = p.end, true
		s.note(p, values[i])
	}
	if !changed {
		return f.data, nil
	}
	out = append(out, f.data[at:]...)
	if err := f.verify(out, s); err != nil {
		return nil, err
	}
	return out, nil
}

// splice is what an edit means to change.
type splice struct {
	want    map[int]string             // by node
	written map[*Target]map[int]string // by regular expression, and where it found the value
}

func (s *splice) note(p Place, value string) {
	if p.expression == nil {
		s.want[p.node] = value
		return
	}
	if s.written[p.expression] == nil {
		s.written[p.expression] = map[int]string{}
	}
	s.written[p.expression][p.start] = value
}

func (f *File) spell(p Place, value string) (string, error) {
	if p.Problem != "" {
		return "", errors.New(p.Problem)
	}
	if reason := checkValue(value); reason != "" {
		return "", errors.New(reason)
	}
	if p.expression != nil {
		return value, nil
	}
	return f.parsed.spell(p, value)
}

func (f *File) verify(out []byte, s splice) error {
	for t, written := range s.written {
		if err := t.verify(f.data, out, written); err != nil {
			return err
		}
	}
	if f.parsed == nil {
		return nil
	}
	return f.parsed.verify(out, s.want, len(s.written) > 0)
}
