package hold

import "slices"

// keeper makes the list of what was written, as the ledger goes on keeping it.
type keeper struct{ written []Written }

// keep forgets files that are gone, unless all are: then the image may come back.
func keep(q Question) *keeper {
	k := &keeper{}
	for _, w := range q.Written {
		if w.Paths != nil && len(q.Values) > 0 {
			w.Paths = slices.DeleteFunc(slices.Clone(w.Paths), func(p string) bool { return !q.has(p) })
			if len(w.Paths) == 0 {
				continue
			}
		}
		k.written = append(k.written, w)
	}
	if len(q.Written) == 0 {
		k.written = q.Past.last(q.Image, q.Compare)
	}
	return k
}

// take puts a value's file where it belongs: with what was written last to the file that it
// was, or with what it holds just the same.
func (k *keeper) take(v Value, last Written, known bool) {
	if v.Held || v.Foreign || k.has(v.Path) {
		return
	}
	if !known {
		i := slices.IndexFunc(k.written, func(w Written) bool { return w.Tag == v.Tag && w.Digest == v.Digest })
		if i < 0 {
			return
		}
		last = k.written[i]
	}
	if last.Paths == nil {
		return
	}
	i := slices.IndexFunc(k.written, func(w Written) bool {
		return w.Paths != nil && w.Tag == last.Tag && w.Digest == last.Digest && w.Commit == last.Commit
	})
	if i < 0 {
		last.Paths = nil
		k.written = append(k.written, last)
		i = len(k.written) - 1
	}
	k.written[i].Paths = append(slices.Clone(k.written[i].Paths), v.Path)
	slices.Sort(k.written[i].Paths)
}

func (k *keeper) has(path string) bool {
	return slices.ContainsFunc(k.written, func(w Written) bool { return slices.Contains(w.Paths, path) })
}
