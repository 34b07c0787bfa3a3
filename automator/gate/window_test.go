package gate

import (
	"strings"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	at := func(s string) time.Time { return must(time.Parse(time.RFC3339, s)) }
	for name, test := range map[string]struct {
		days           string
		from, to, zone string
		at, opens      string // opens empty: it is open
	}{
		"always":                 {at: "2026-11-20T10:00:00Z"},
		"hours":                  {from: "09:00", to: "17:00", at: "2026-11-20T16:59:59Z"},
		"at its beginning":       {from: "09:00", to: "17:00", at: "2026-11-20T09:00:00Z"},
		"at its end":             {from: "09:00", to: "17:00", at: "2026-11-20T17:00:00Z", opens: "2026-11-21T09:00:00Z"},
		"before":                 {from: "09:00", to: "17:00", at: "2026-11-20T08:59:59Z", opens: "2026-11-20T09:00:00Z"},
		"another day":            {days: "mon TUE", from: "09:00", to: "17:00", at: "2026-11-20T10:00:00Z", opens: "2026-11-23T09:00:00Z"},
		"to the end of the day":  {from: "22:00", at: "2026-11-20T23:59:00Z"},
		"to midnight":            {days: "Fri", from: "22:00", to: "24:00", at: "2026-11-21T00:00:00Z", opens: "2026-11-27T22:00:00Z"},
		"from the beginning":     {to: "06:00", at: "2026-11-20T06:00:00Z", opens: "2026-11-21T00:00:00Z"},
		"over midnight":          {days: "Fri", from: "22:00", to: "04:00", at: "2026-11-21T03:59:00Z"},
		"over midnight, closed":  {days: "Fri", from: "22:00", to: "04:00", at: "2026-11-20T03:00:00Z", opens: "2026-11-20T22:00:00Z"},
		"a zone":                 {from: "09:00", to: "17:00", zone: "America/New_York", at: "2026-11-20T13:59:00Z", opens: "2026-11-20T14:00:00Z"},
		"a zone's day":           {days: "Sat", zone: "Asia/Tokyo", at: "2026-11-20T15:00:00Z"},
		"clocks go forward":      {from: "02:30", to: "03:30", zone: "Europe/Berlin", at: "2026-03-29T01:10:00Z", opens: "2026-03-30T00:30:00Z"},
		"clocks go back":         {from: "03:30", to: "04:00", zone: "Europe/Berlin", at: "2026-10-25T01:30:00Z", opens: "2026-10-25T02:30:00Z"},
		"the same day next week": {days: "Fri", from: "09:00", to: "10:00", at: "2026-11-20T10:00:00Z", opens: "2026-11-27T09:00:00Z"},
	} {
		w, err := NewWindow(strings.Fields(test.days), test.from, test.to, test.zone)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := at(test.at)
		if test.opens != "" {
			want = at(test.opens)
		}
		if got := w.Opens(at(test.at)); !got.Equal(want) {
			t.Errorf("%s: opens at %s, want %s", name, got.UTC(), want)
		}
	}
}

func TestBadWindows(t *testing.T) {
	for want, test := range map[string]struct{ days, from, to, zone string }{
		`timeZone "Europe/Atlantis" is not known`: {zone: "Europe/Atlantis"},
		`timeZone "Local" is not known`:           {zone: "Local"},
		`day "Monday" is not known`:               {days: "Monday"},
		`from: "9" is no time of day`:             {from: "9"},
		`to: "25:00" is no time of day`:           {to: "25:00"},
		"from and to are both 09:00":              {from: "09:00", to: "09:00"},
	} {
		if _, err := NewWindow(strings.Fields(test.days), test.from, test.to, test.zone); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", test, err, want)
		}
	}
}
