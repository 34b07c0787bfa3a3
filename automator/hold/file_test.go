package hold

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

const head = "apiVersion: sealift.dev/v1alpha1\nkind: ImageHolds\n"

func TestParseHolds(t *testing.T) {
	got, err := Parse([]byte(head + `# what we do not want
holds:
  - image: shop:shop
    version: "1.4.2"
    reason: crashes on start
    by: jane
    since: 2026-11-20T10:00:00Z
    until: 2026-12-01
  - {image: blog, version: ">=2.0.0"}
  - image: "db:db"
releases:
  - image: shop
    since: 2026-11-21T12:00:00+02:00
`))
	want := File{
		Holds: []Entry{
			{Image: "shop:shop", Version: "1.4.2", Reason: "crashes on start", By: "jane", Since: now, Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
			{Image: "blog", Version: ">=2.0.0"},
			{Image: "db:db"},
		},
		Releases: []Entry{{Image: "shop", Since: now.Add(24 * time.Hour)}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if got, err := Parse([]byte(head)); err != nil || !reflect.DeepEqual(got, File{}) {
		t.Errorf("no entries: %+v, %v", got, err)
	}
}

func TestBadHolds(t *testing.T) {
	one := head + "holds:\n- image: shop\n  "
	for name, test := range map[string]struct{ text, want string }{
		"nothing":        {"", "0 YAML documents"},
		"two documents":  {head + "---\n" + head, "2 YAML documents"},
		"another kind":   {"apiVersion: sealift.dev/v1alpha1\nkind: Config\n", "ImageHolds is wanted"},
		"unknown field":  {one + "tag: 1.4.2\n", `unknown field "tag"`},
		"twice":          {one + "image: blog\n", "image"},
		"number":         {one + "version: 1.4\n", "hint: versions are text"},
		"no image":       {head + "holds:\n- version: '1'\n", "holds[0]: image is missing"},
		"digest":         {head + "holds:\n- image: a@sha256:b\n", "NAMESPACE:NAME"},
		"three parts":    {head + "holds:\n- image: a:b:c\n", "NAMESPACE:NAME"},
		"no version":     {one + "version: '>=x y'\n", "neither a tag nor a range"},
		"long version":   {one + "version: " + strings.Repeat("a", 129) + "\n", "neither a tag nor a range"},
		"no time":        {one + "until: tomorrow\n", `holds[0]: until: "tomorrow" is no time`},
		"control":        {one + `reason: "a\eb"` + "\n", "cannot be printed"},
		"long text":      {one + "reason: " + strings.Repeat("a", 501) + "\n", "reason has 501 bytes, more than 500"},
		"ending release": {head + "releases:\n- image: shop\n  until: 2026-12-01\n", "a release does not end"},
		"many":           {head + "holds:\n" + strings.Repeat("- image: a\n", 1001), "holds has 1001 entries, more than 1000"},
		"large":          {head + strings.Repeat("#", 1<<20), "more than 1048576"},
	} {
		if f, err := Parse([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

func TestAddAndRelease(t *testing.T) {
	hold := Entry{Image: "shop:shop", Version: "1.4.2", Reason: `it says "no": # really`, By: "jane", Since: now, Until: now.Add(time.Hour)}
	item := func(indent string) string {
		return strings.ReplaceAll(`- image: shop:shop
  version: "1.4.2"
  reason: "it says \"no\": # really"
  by: "jane"
  since: "2026-11-20T10:00:00Z"
  until: "2026-11-20T11:00:00Z"
`, "\n  ", "\n"+indent+"  ")
	}
	for name, test := range map[string]struct{ before, after, released string }{
		"no file":    {"", head + "holds:\n  " + item("  "), head + "holds: []\n"},
		"no holds":   {head, head + "holds:\n  " + item("  "), head + "holds: []\n"},
		"no newline": {strings.TrimSpace(head), head + "holds:\n  " + item("  "), head + "holds: []\n"},
		"empty":      {head + "holds: [] # none\nreleases: []\n", head + "holds: # none\n  " + item("  ") + "releases: []\n", head + "holds: [] # none\nreleases: []\n"},
		"null":       {head + "holds:\n# end\n", head + "holds:\n  " + item("  ") + "# end\n", head + "holds: []\n# end\n"},
		"comments and blanks": {
			before:   "# ours\n" + head + "\nholds: # all\n\n# why\n- image: blog   # b\n  by: \"a\n    b\"\n\n  # more\n\n  reason: c\n\n# behind\nreleases:\n- {image: blog}\n\n",
			after:    "# ours\n" + head + "\nholds: # all\n\n# why\n- image: blog   # b\n  by: \"a\n    b\"\n\n  # more\n\n  reason: c\n" + item("") + "\n# behind\nreleases:\n- {image: blog}\n\n",
			released: "# ours\n" + head + "\nholds: # all\n\n# why\n- image: blog   # b\n  by: \"a\n    b\"\n\n  # more\n\n  reason: c\n\n# behind\nreleases:\n- {image: blog}\n\n",
		},
		"in place of another": {
			before:   head + "holds:\n    - image: shop\n      version: 1.4.2\n      # about\n    -\n      image: blog",
			after:    head + "holds:\n    -\n      image: blog\n    " + item("    "),
			released: head + "holds:\n    -\n      image: blog\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Add([]byte(test.before), hold)
			if err != nil || string(out) != test.after {
				t.Fatalf("%v\n%s\nwant\n%s", err, out, test.after)
			}
			again, err := Add(out, hold)
			if f, _ := Parse(again); err != nil || len(f.Holds) > 2 {
				t.Errorf("again: %v\n%s", err, again)
			}
			out, removed, err := Release(out, Entry{Image: "shop", Version: "1.4.2"}, false)
			if err != nil || string(out) != test.released || len(removed) != 1 {
				t.Errorf("released: %v, %d\n%s\nwant\n%s", err, len(removed), out, test.released)
			}
			windows := strings.ReplaceAll(test.before, "\n", "\r\n")
			if out, err := Add([]byte(windows), hold); err != nil || test.before != "" && string(out) != strings.ReplaceAll(test.after, "\n", "\r\n") &&
				strings.Contains(windows, "\n") {
				t.Errorf("with CRLF: %v\n%q", err, out)
			}
		})
	}
}

func TestReleaseLifts(t *testing.T) {
	text := head + "holds:\n- image: blog\nreleases:\n- image: shop # old\n  since: 2026-01-01\n"
	out, removed, err := Release([]byte(text), Entry{Image: "shop:shop", By: "jane", Since: now}, true)
	want := head + "holds:\n- image: blog\nreleases:\n  - image: shop:shop\n    by: \"jane\"\n    since: \"2026-11-20T10:00:00Z\"\n"
	if err != nil || string(out) != want || len(removed) > 0 {
		t.Errorf("%v, %v\n%s", err, removed, out)
	}
	if out, removed, err := Release([]byte(text), Entry{Image: "shop"}, false); err != nil || string(out) != text || len(removed) > 0 {
		t.Errorf("nothing to release: %v, %v\n%s", err, removed, out)
	}
	all := head + "holds:\n- image: shop\n  version: '1'\n- image: blog\n- image: shop:shop\n  version: '2'\n"
	if out, removed, err := Release([]byte(all), Entry{Image: "shop"}, false); err != nil || string(out) != head+"holds:\n- image: blog\n" || len(removed) != 2 {
		t.Errorf("all of an image: %v, %v\n%s", err, removed, out)
	}
}

func TestFilesThatAreNotEdited(t *testing.T) {
	for name, text := range map[string]string{
		"flow":       head + "holds: [{image: blog}]\n",
		"flow file":  `{apiVersion: sealift.dev/v1alpha1, kind: ImageHolds}`,
		"ended":      head + "...\n",
		"broken":     head + "holds: {",
		"other kind": "kind: Config\n",
	} {
		if out, err := Add([]byte(text), Entry{Image: "shop", Since: now}); err == nil {
			t.Errorf("%s became\n%s", name, out)
		}
	}
	if _, err := Add(nil, Entry{Image: "sh\x1bop"}); err == nil {
		t.Error("an image with an escape is taken")
	}
}

// FuzzFile: what is added is there, what is released is gone, and nothing else changes.
func FuzzFile(f *testing.F) {
	f.Add([]byte(head+"holds:\n- image: blog\n  until: 2026-12-01\n# x\n"), "shop:shop", "1.4.2", "why")
	f.Add([]byte(head+"holds: []\nreleases:\n  - image: shop # c\n"), "shop", ">=1.0", "\"quoted\" # ")
	f.Add([]byte(""), "a:b", "", "")
	f.Fuzz(func(t *testing.T, data []byte, image, version, reason string) {
		e := Entry{Image: image, Version: version, Reason: reason, Since: now}
		before, _ := Parse(data)
		out, err := Add(data, e)
		if err != nil {
			return
		}
		after, err := Parse(out)
		if err != nil || len(after.Holds) == 0 || after.Holds[len(after.Holds)-1] != e || !reflect.DeepEqual(before.Releases, after.Releases) {
			t.Fatalf("%v\n%s", err, out)
		}
		back, removed, err := Release(out, e, false)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		left, err := Parse(back)
		if err != nil || len(left.Holds) != len(after.Holds)-1 || len(removed) != 1 {
			t.Fatalf("%v, %v\n%s", err, removed, back)
		}
	})
}

func TestDisplay(t *testing.T) {
	for want, h := range map[string]Hold{
		"1.4.2: held by jane: crashes\u00b7, until 2026-12-01T00:00:00Z": {Kind: Explicit, Version: "1.4.2", By: "jane", Reason: "crashes\x1b", Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
		"above 1.1.0 up to 1.2.0 but 1.1.5: reverted by a person":        {Kind: Reverted, Above: "1.1.0", UpTo: "1.2.0", Except: []string{"1.1.5"}},
		"every version: reverted by a person":                            {Kind: Reverted, Above: "1.1.0", UpTo: "1.2.0", Everything: true},
		"sha256:a: reverted by a person":                                 {Kind: Reverted, Digest: "sha256:a"},
		"1.3.0: its pull request was closed":                             {Kind: Closed, Version: "1.3.0"},
		"every version: held":                                            {Kind: Explicit},
	} {
		if got := fmt.Sprint(h); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
