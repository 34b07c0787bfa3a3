package render

import (
	"fmt"
	"maps"
	"strings"
	"text/template"
	"time"

	"sealift.dev/internal/objects"
	"sealift.dev/internal/text"
)

// moment is when templates believe they run. At each, functions whose results are by
// chance or by the clock give others, so that what depends on them shows.
type moment int

const (
	early moment = iota
	late
)

func (m moment) now() time.Time {
	if m == early {
		return time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	}
	return time.Date(2012, 11, 10, 19, 18, 17, 0, time.UTC)
}

// maxSpread bounds what one function makes of a small argument.
const maxSpread = 1 << 20

// functions replace those of Helm that the machine, the clock or chance speak through,
// and those that make much of little.
func functions(m moment) template.FuncMap {
	all := template.FuncMap{
		"now":            m.now,
		"ago":            func(date any) string { return m.now().Sub(m.time(date)).Round(time.Second).String() },
		"date":           func(layout string, date any) string { return m.time(date).UTC().Format(layout) },
		"htmlDate":       func(date any) string { return m.time(date).UTC().Format(time.DateOnly) },
		"dateInZone":     m.dateInZone,
		"date_in_zone":   m.dateInZone,
		"htmlDateInZone": func(date any, zone string) (string, error) { return m.dateInZone(time.DateOnly, date, zone) },
		"durationRound":  m.durationRound,
		"toDate":         func(layout, value string) time.Time { t, _ := toDate(layout, value); return t },
		"mustToDate":     toDate,
		"repeat":         repeat,
		"until":          func(count int) ([]int, error) { return untilStep(0, count, sign(count)) },
		"untilStep":      untilStep,
		"seq":            seq,
		"indent":         indent,
		"nindent":        func(spaces int, v string) (string, error) { s, err := indent(spaces, v); return "\n" + s, err },
	}
	maps.Copy(all, m.chances())
	maps.Copy(all, textFunctions())
	maps.Copy(all, dictFunctions())
	return all
}

// time is what date functions take: a time, seconds, or else now.
func (m moment) time(date any) time.Time {
	switch date := date.(type) {
	case time.Time:
		return date
	case *time.Time:
		return *date
	case int64:
		return time.Unix(date, 0)
	case int:
		return time.Unix(int64(date), 0)
	case int32:
		return time.Unix(int64(date), 0)
	}
	return m.now()
}

// toDate knows no zone of the machine, by which it would read CET or EST.
func toDate(layout, value string) (time.Time, error) {
	return time.ParseInLocation(layout, value, time.UTC)
}

// durationRound is the largest unit of a duration, or of what has passed since a time.
func (m moment) durationRound(of any) string {
	var d time.Duration
	switch of := of.(type) {
	case string:
		d, _ = time.ParseDuration(of)
	case int64:
		d = time.Duration(of)
	case time.Time:
		d = m.now().Sub(of)
	}
	const day = 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{365 * day, "y"}, {30 * day, "mo"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if whole := d.Abs() / unit.length; d.Abs() > unit.length {
			return fmt.Sprint(int64(whole)) + unit.name
		}
	}
	return "0s"
}

// dateInZone refuses zones that the machine does not know. Helm takes UTC for them, and
// machines differ in which ones they know.
func (m moment) dateInZone(layout string, date any, zone string) (string, error) {
	if zone == "Local" {
		zone = "UTC"
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return "", fmt.Errorf("the time zone %q is not known on this machine; hint: install tzdata", text.Clip(zone, maxName))
	}
	return m.time(date).In(location).Format(layout), nil
}

func repeat(count int, s string) (string, error) {
	if count < 0 || len(s) > 0 && count > maxSpread/len(s) {
		return "", fmt.Errorf("repeat: %d times %d bytes are more than %d: %w", count, len(s), maxSpread, objects.ErrLimit)
	}
	return strings.Repeat(s, count), nil
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

func untilStep(start, stop, step int) ([]int, error) {
	numbers := []int{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if numbers = append(numbers, i); len(numbers) > maxSpread {
			return nil, fmt.Errorf("more than %d numbers: %w", maxSpread, objects.ErrLimit)
		}
	}
	return numbers, nil
}

// seq counts as Unix does: [FIRST [STEP]] LAST, the last included.
func seq(params ...int) (string, error) {
	var numbers []int
	var err error
	switch len(params) {
	case 1:
		numbers, err = untilStep(1, params[0]+towards(1, params[0]), towards(1, params[0]))
	case 2:
		numbers, err = untilStep(params[0], params[1]+towards(params[0], params[1]), towards(params[0], params[1]))
	case 3:
		numbers, err = untilStep(params[0], params[2]+sign(params[1]), params[1])
	}
	return strings.Trim(fmt.Sprint(numbers), "[]"), err
}

func towards(first, last int) int {
	if last < first {
		return -1
	}
	return 1
}

func indent(spaces int, v string) (string, error) {
	if lines := strings.Count(v, "\n") + 1; spaces < 0 || spaces > maxSpread/lines {
		return "", fmt.Errorf("indent: %d blanks before each of %d lines: %w", spaces, lines, objects.ErrLimit)
	}
	blanks := strings.Repeat(" ", spaces)
	return blanks + strings.ReplaceAll(v, "\n", "\n"+blanks), nil
}
