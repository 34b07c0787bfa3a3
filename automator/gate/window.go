package gate

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // machines and images that have no time zones of their own
)

// Window is when updates may be made.
type Window struct {
	days     [7]bool // by time.Weekday, on which it opens
	from, to int     // minutes of the day; to may be on the next one; equal: the whole day
	zone     *time.Location
}

const day = 24 * 60

// NewWindow checks days (Mon, Tue ...; none: all), times of day (09:00; to may be on the next
// day; both empty: the whole day) and an IANA time zone (empty: UTC).
func NewWindow(days []string, from, to, zone string) (*Window, error) {
	w := &Window{zone: time.UTC}
	var err error
	if zone != "" && zone != "UTC" {
		if w.zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
			return nil, fmt.Errorf("window: timeZone %.50q is not known; hint: Europe/Berlin, America/New_York, UTC", zone)
		}
	}
	if w.from, err = minutes(from, 0); err != nil {
		return nil, fmt.Errorf("window: from: %w", err)
	}
	if w.to, err = minutes(to, day); err != nil {
		return nil, fmt.Errorf("window: to: %w", err)
	}
	if from != "" && w.from == w.to {
		return nil, fmt.Errorf("window: from and to are both %s; hint: leave them out for the whole day", from)
	}
	if w.to < w.from {
		w.to += day
	}
	return w, w.setDays(days)
}

func (w *Window) setDays(days []string) error {
	for i := range w.days {
		w.days[i] = len(days) == 0
	}
	for _, name := range days {
		d := time.Sunday
		for ; d <= time.Saturday && !strings.EqualFold(d.String()[:3], name); d++ {
		}
		if d > time.Saturday {
			return fmt.Errorf("window: day %.50q is not known; hint: Mon, Tue, Wed, Thu, Fri, Sat, Sun", name)
		}
		w.days[d] = true
	}
	return nil
}

// minutes reads 09:00, and 24:00 as well.
func minutes(clock string, unset int) (int, error) {
	if clock == "" {
		return unset, nil
	}
	if clock == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", clock)
	if err != nil {
		return 0, fmt.Errorf("%.50q is no time of day; hint: 09:00", clock)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// Opens is when the window is open, at the earliest at t; t itself: it is open. From and to
// are what clocks in the zone show, also where they are put forward or back.
func (w *Window) Opens(t time.Time) time.Time {
	local := t.In(w.zone)
	for ahead := -1; ahead <= 7; ahead++ {
		date := local.AddDate(0, 0, ahead)
		if !w.days[date.Weekday()] {
			continue
		}
		opens, closes := w.at(date, w.from), w.at(date, w.to)
		if !t.Before(closes) || !opens.Before(closes) { // clocks may skip all of it
			continue
		}
		if opens.After(t) {
			return opens
		}
		return t
	}
	return t // not reached: one day at least is set
}

// at is a time of day on a date, in minutes; beyond a day it is on the next.
func (w *Window) at(date time.Time, minute int) time.Time {
	return time.Date(date.Year(), date.Month(), date.Day(), 0, minute, 0, 0, w.zone)
}
