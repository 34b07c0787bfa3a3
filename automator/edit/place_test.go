package edit

import (
	"fmt"
	"strings"
	"testing"
)

func readPlaces(t *testing.T, text string) (*File, []Place) {
	t.Helper()
	f, err := Read("x.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f, f.Places()
}

func TestCurrent(t *testing.T) {
	for text, want := range map[string]string{
		`nginx # {"$imagepolicy": "a:b"}`:                        "nginx||",
		`nginx:1 # {"$imagepolicy": "a:b"}`:                      "nginx|1|",
		`r:5000/nginx # {"$imagepolicy": "a:b"}`:                 "r:5000/nginx||",
		`"r:5000/nginx:1@sha256:11" # {"$imagepolicy": "a:b"}`:   "r:5000/nginx|1|sha256:11",
		`"r/nginx@sha256:11" # {"$imagepolicy": "a:b"}`:          "r/nginx||sha256:11",
		`1.2 # {"$imagepolicy": "a:b:tag"}`:                      "|1.2|",
		`"1.2@sha256:11" # {"$imagepolicy": "a:b:tag"}`:          "|1.2|sha256:11",
		`r:5000/nginx # {"$imagepolicy": "a:b:name"}`:            "r:5000/nginx||",
		`sha256:11 # {"$imagepolicy": "a:b:digest"}`:             "||sha256:11",
		`"" # {"$imagepolicy": "a:b:digest", "$sealift":"hold"}`: "||",
	} {
		_, places := readPlaces(t, "a: "+text+"\n")
		if len(places) != 1 || places[0].Policy != "a:b" || places[0].Hold != strings.Contains(text, "hold") {
			t.Fatalf("%s: %+v", text, places)
		}
		repo, tag, digest := places[0].Current()
		if got := repo + "|" + tag + "|" + digest; got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestWhatIsWritten is the table of markers and images, on one file each. MARK stands for
// {"$imagepolicy": "a:b.
func TestWhatIsWritten(t *testing.T) {
	bare := Image{Policy: "a:b", Repo: "r:5000/shop", Tag: "1.20"}
	pinned := bare
	pinned.Digest = newDigest
	for name, test := range map[string]struct {
		text   string
		image  Image
		want   string
		reason string
	}{
		"a reference":             {`a: x # MARK"}`, bare, `a: r:5000/shop:1.20 # MARK"}`, ""},
		"with a digest":           {`a: x # MARK"}`, pinned, `a: r:5000/shop:1.20@` + newDigest + ` # MARK"}`, ""},
		"a tag":                   {`a: x # MARK:tag"}`, pinned, `a: "1.20" # MARK:tag"}`, ""},
		"a name":                  {`a: x # MARK:name"}`, pinned, `a: r:5000/shop # MARK:name"}`, ""},
		"a digest":                {`a: x # MARK:digest"}`, pinned, `a: ` + newDigest + ` # MARK:digest"}`, ""},
		"empty quotes":            {`a: "" # MARK:digest"}`, pinned, `a: "` + newDigest + `" # MARK:digest"}`, ""},
		"no digest":               {`a: sha256:1 # MARK:digest"}`, bare, "", "line 1 has the digest"},
		"tag and no digest":       {"a: sha256:1 # MARK:digest\"}\nb: 1.0 # MARK:tag\"}\nc: x # MARK\"}", bare, "", "no digest was resolved; hint: pin: IfNotPresent"},
		"tag and digest":          {"a: sha256:1 # MARK:digest\"}\nb: 1.0 # MARK:tag\"}", pinned, "a: " + newDigest + " # MARK:digest\"}\nb: \"1.20\" # MARK:tag\"}", ""},
		"another's digest":        {"a: x # {\"$imagepolicy\": \"a:c:digest\"}\nb: 1.0 # MARK:tag\"}", bare, "a: x # {\"$imagepolicy\": \"a:c:digest\"}\nb: \"1.20\" # MARK:tag\"}", ""},
		"a pin, and no digest":    {`a: x:1@sha256:1 # MARK"}`, bare, "", "the value is pinned by digest"},
		"a pinned tag":            {`a: 1@sha256:1 # MARK:tag"}`, bare, "", "the value is pinned by digest"},
		"a pin and its digest":    {`a: x:1@sha256:1 # MARK"}`, pinned, `a: r:5000/shop:1.20@` + newDigest + ` # MARK"}`, ""},
		"a digest in a block":     {"a: | # MARK:digest\"}\n  x\nb: 1.0 # MARK:tag\"}", pinned, "", "line 1 belongs to it"},
		"held":                    {`a: x # MARK", "$sealift": "hold"}`, pinned, "", "it is held"},
		"held, up to date":        {`a: r:5000/shop # MARK:name", "$sealift": "hold"}`, pinned, `a: r:5000/shop # MARK:name", "$sealift": "hold"}`, ""},
		"held beside a digest":    {"a: x # MARK:digest\"}\nb: 1.0 # MARK:tag\", \"$sealift\": \"hold\"}", pinned, "", "line 2 belongs to it"},
		"held in another mapping": {"x:\n  a: x # MARK:digest\"}\n  b: 1.0 # MARK:tag\"}\ny:\n  b: x # MARK:tag\", \"$sealift\": \"hold\"}", pinned, "x:\n  a: " + newDigest + " # MARK:digest\"}\n  b: \"1.20\" # MARK:tag\"}\ny:\n  b: x # MARK:tag\", \"$sealift\": \"hold\"}", "it is held"},
		"a digest without value":  {"x:\n  a: # MARK:digest\"}\ny:\n  b: 1.0 # MARK:tag\"}", pinned, "", "line 2 belongs to it"},
		"held by another word":    {`a: x # MARK", "$sealift": "Hold"}`, pinned, "", `a "$sealift" that is not "hold"`},
		"one of two is held":      {"a: x # MARK:tag\", \"$sealift\": \"hold\"}\nb: x # MARK:tag\"}", bare, "a: x # MARK:tag\", \"$sealift\": \"hold\"}\nb: \"1.20\" # MARK:tag\"}", "it is held"},
		"up to date, in a block":  {"a: |- # MARK:name\"}\n  r:5000/shop\n", bare, "a: |- # MARK:name\"}\n  r:5000/shop\n", ""},
		"behind a comma":          {"a: [x, # MARK:tag\"}\n  y, z] # MARK\"}", bare, "a: [\"1.20\", # MARK:tag\"}\n  y, z] # MARK\"}", "not behind a value"},
		"two values and a marker": {`a: {b: x, c: y, # MARK:tag"}` + "\n d: z}", bare, `a: {b: x, c: "1.20", # MARK:tag"}` + "\n d: z}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			mark := strings.NewReplacer("MARK", `{"$imagepolicy": "a:b`)
			text := mark.Replace(test.text)
			want := mark.Replace(test.want)
			if want == "" {
				want = text
			}
			got, left := write(t, "x.yaml", text, test.image)
			if got != want || (test.reason == "") != (len(left) == 0) || !strings.Contains(fmt.Sprint(left), test.reason) {
				t.Errorf("got  %q\nwant %q\n%q, want %q", got, want, left, test.reason)
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	f, places := readPlaces(t, "a: x "+shopMarker+"\nb: | "+shopMarker+"\n  x\n")
	for want, values := range map[string]map[int]string{
		"there is no place 2":      {0: "y", 2: "y"},
		"there is no place -1":     {-1: "y"},
		"a block scalar":           {1: "y"},
		"nothing to write":         {0: ""},
		"no part of an image":      {0: "a b"},
		"longer than 1024 bytes":   {0: strings.Repeat("a", 2000)},
		"no part of an image refe": {0: "a\nb"},
	} {
		if out, err := f.Set(values); err == nil || out != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %q, %v, want %q", values, out, err, want)
		}
	}
	if out, err := f.Set(map[int]string{0: places[0].Value}); err != nil || &out[0] != &f.data[0] {
		t.Errorf("nothing to do: %q, %v", out, err)
	}
	bad := Image{Policy: "a:b", Repo: "r", Tag: "1 # b: c"}
	if text, reason := places[0].Text(bad); text != "" || !strings.Contains(reason, "no part of an image") {
		t.Errorf("a hostile tag: %q, %q", text, reason)
	}
}

func TestCheck(t *testing.T) {
	good := Image{Policy: "a:b", Repo: "r.example.com:5000/a-b/c_d/e__f", Tag: "v1.0_x-Y", Digest: newDigest}
	for _, repo := range []string{good.Repo, "nginx", "localhost/a", "ghcr.io/a/b.c"} {
		good.Repo = repo
		if err := good.Check(); err != nil {
			t.Error(err)
		}
	}
	for want, change := range map[string]func(*Image){
		"no NAMESPACE:NAME":     func(i *Image) { i.Policy = ":b" },
		`"a:b:c" is no`:         func(i *Image) { i.Policy = "a:b:c" },
		`image "" is no`:        func(i *Image) { i.Repo = "" },
		`image "r/a:1" is no`:   func(i *Image) { i.Repo = "r/a:1" },
		`image "r/A" is no`:     func(i *Image) { i.Repo = "r/A" },
		`"https://r/a" is no`:   func(i *Image) { i.Repo = "https://r/a" },
		`image "r/a\n" is no`:   func(i *Image) { i.Repo = "r/a\n" },
		`tag "" is no tag`:      func(i *Image) { i.Tag = "" },
		`tag "-a" is no tag`:    func(i *Image) { i.Tag = "-a" },
		`tag "a\n" is no tag`:   func(i *Image) { i.Tag = "a\n" },
		`digest "sha256:1"`:     func(i *Image) { i.Digest = "sha256:1" },
		`digest "md5:`:          func(i *Image) { i.Digest = "md5:11111111111111111111111111111111" },
		`hint: sha256: and 64 `: func(i *Image) { i.Digest = strings.ToUpper(newDigest) },
	} {
		bad := good
		change(&bad)
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", bad, err, want)
		}
	}
}

func TestWhichFilesHaveMarkers(t *testing.T) {
	for path, want := range map[string]bool{
		"a.yaml": true, "a/b.yml": true, "Kustomization": true, "a/Kustomization": true, ".yaml": true,
		"a.YAML": false, "a.yaml.tpl": false, "kustomization": false, "Kustomization.txt": false, "a.json": false, "yaml": false, "": false,
	} {
		if got := MayHaveMarkers(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
	if !HasMarker([]byte(`x # {"$imagepolicy": 1}`)) || HasMarker([]byte(`x # {'$imagepolicy': 1}`)) {
		t.Error("HasMarker")
	}
}
