package main

import (
	"io"
	"strings"
	"unicode/utf8"
)

// table prints lines of cells in columns. Later lines keep to the widths of those
// before, and are wider where they have to be. Foreign text cannot break a line.
type table struct {
	to     io.Writer
	widths []int
}

func (t *table) print(lines [][]string) error {
	for _, cells := range lines {
		for i := range cells {
			cells[i] = oneLine(cells[i])
			if i == len(t.widths) {
				t.widths = append(t.widths, 0)
			}
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cells[i]))
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		var row strings.Builder
		for i, cell := range cells {
			const gap = 3
			row.WriteString(cell + strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)+gap))
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	_, err := io.WriteString(t.to, b.String())
	return err
}
