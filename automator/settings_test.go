package automator

import (
	"strings"
	"testing"
)

func TestBadSettings(t *testing.T) {
	good := configFor("localhost/apps/shop", "*")
	if _, err := parseSettings([]byte(good)); err != nil {
		t.Fatalf("the benign twin: %v", err)
	}
	image, automate := "      select:", "automate:\n"
	for name, test := range map[string]struct{ old, new, want string }{
		"not YAML":        {"automate:", "automate: [", "did not find"},
		"unknown field":   {"branch: main", "brunch: main", `unknown field "automate.brunch"`},
		"unknown, deeper": {image, "      tag: x\n" + image, `unknown field "automate.images[0].tag"`},
		"duplicate key":   {"branch: main", "branch: main\n  branch: other", "there twice"},
		"aliases":         {"automate:", "a: &a " + strings.Repeat("x", 50_000) + "\nb: [" + strings.Repeat("*a, ", 1000) + "]\nautomate:", "over the limit"},
		"other kind":      {"kind: Config", "kind: Kustomization", `kind "Kustomization"`},
		"other version":   {"v1alpha1", "v9", `apiVersion "sealift.dev/v9"`},
		"range":           {`"*"`, `"a"`, `images[0]: shop: select: `},
		"empty range":     {`"*"`, `""`, "images[0]: shop: select: "},
		"two policies":    {`{semver: "*"}`, `{semver: "*", newest: true}`, "images[0]: shop: select: "},
		"no name":         {"name: shop", "name: ''", "images[0]: name"},
		"marker name":     {"name: shop", "name: 'a:b'", `name "a:b"`},
		"image":           {"localhost/apps/shop", "localhost/Apps", "hint: write HOST/REPOSITORY"},
		"image and tag":   {"localhost/apps/shop", "localhost/apps/shop:1", "without a tag"},
		"image by digest": {"localhost/apps/shop", "localhost/apps/shop@sha256:" + strings.Repeat("0", 64), "without a tag"},
		"no images":       {"images:", "images: []\nx:", "unknown field"},
		"twice":           {"  images:\n", "  images:\n    - {name: shop, image: a/b, select: {semver: '*'}}\n", "images[1]: shop:shop is there twice"},
		"branch":          {"branch: main", "branch: a..b", `automate.branch: "a..b"`},
		"flux":            {automate, automate + "  flux: Sometimes\n", `automate.flux: "Sometimes"`},
		"trust":           {automate, automate + "  trust: ../policy.yaml\n", "automate.trust"},
		"push branch":     {automate, automate + "  push: {branch: '-x'}\n", `automate.push: branch: "-x"`},
		"push to ledger":  {automate, automate + "  push: {branch: sealift/state/main}\n", "is the ledger's"},
		"push option":     {automate, automate + "  push: {options: ['']}\n", "automate.push: options[0]"},
		"author":          {automate, automate + "  commit: {author: {name: 'a <b', email: c}}\n", "automate.commit: author"},
		"message":         {automate, automate + "  commit: {message: '{{ .Nothing }}'}\n", "automate.commit: "},
		"provider":        {automate, automate + "  pullRequests: {provider: SVN}\n", `provider: "SVN" is none of GitHub`},
		"pulls and push":  {automate, automate + "  push: {branch: x}\n  pullRequests: {provider: GitHub}\n", "excludes automate.push.branch"},
		"pulls' branch":   {automate, automate + "  pullRequests: {provider: GitHub, branch: 'a b'}\n", "pullRequests: branch"},
		"labels":          {automate, automate + "  pullRequests: {provider: GitHub, labels: ['']}\n", "pullRequests: labels"},
		"pin":             {image, "      pin: Sometimes\n" + image, `pin: "Sometimes" is none of`},
		"pin and digest":  {`{semver: "*"}`, "{digest: latest}\n      pin: Never", "hint: leave pin out"},
		"on revert":       {image, "      onRevert: Ignore\n" + image, `onRevert: "Ignore"`},
		"age":             {image, "      minimumAge: -1h\n" + image, "minimumAge: -1h"},
		"window":          {image, "      window: {days: [Someday]}\n" + image, "images[0]: shop: window: day"},
		"age in days":     {image, "      minimumAge: 3d\n" + image, `minimumAge: "3d" is no time span`},
		"zone":            {image, "      window: {timeZone: Nowhere/Land}\n" + image, "shop: window: "},
		"platform":        {image, "      platforms: [linux]\n" + image, "hint: linux/amd64"},
		"image's trust":   {image, "      trust: /etc/passwd\n" + image, "shop: trust"},
		"group":           {image, "      group: a/../b\n" + image, "shop: group"},
		"target":          {image, "      targets: [{path: x.yaml}]\n" + image, "shop: targets[0]: "},
		"target's path":   {image, "      targets: [{path: ../x.yaml, key: a}]\n" + image, "shop: targets[0]: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseSettings([]byte(strings.Replace(good, test.old, test.new, 1)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestOneDocument(t *testing.T) {
	good := configFor("localhost/apps/shop", "*")
	for _, text := range []string{good, "---\n" + good, "# about\n---\n" + good + "...\n"} {
		if _, err := parseSettings([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{good + "---\n" + good, good + "---\n{}\n", "{}\n---\n" + good, good + "--- \nx: y"} {
		if _, err := parseSettings([]byte(text)); err == nil || !strings.Contains(err.Error(), "has 2 YAML documents; hint:") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestTemplate(t *testing.T) {
	changes := []Change{{File: "a.yaml", Line: 3, Image: "shop:shop", Tag: "1.2.0", Old: "1.1.0", New: "1.2.0"}, {File: "b.yaml", Image: "x:y", Old: "\x1b[31m", New: "2"}}
	images := []ImageReport{{Name: "shop:shop", Image: "r/shop", Tag: "1.2.0", Refusals: []Refusal{{Tag: "1.3.0", Gate: "age"}}}}
	for source, want := range map[string]string{
		"Bump {{ range .Changes }}{{ .File }}:{{ .Line }} {{ .Old }}→{{ .New }} {{ end }}":         "Bump a.yaml:3 1.1.0→1.2.0 b.yaml:0 ·[31m→2",
		"{{ .Group }} on {{ .Branch }}{{ range .Images }} {{ .Name }}@{{ .Tag }}{{ end }}":         "front on main shop:shop@1.2.0",
		"{{ range .Images }}{{ range .Refusals }}{{ .Tag }} {{ .Gate }}{{ end }}{{ end }}":         "1.3.0 age",
		"{{ range $i, $c := $.Changes }}{{ if $i }}, {{ end }}{{ printf \"%q\" $c.New }}{{ end }}": `"1.2.0", "2"`,
	} {
		parsed, err := parseTemplate("message", source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := parsed.render(described{Group: "front", Branch: "main", Changes: changes, Images: images}); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", source, got, err, want)
		}
	}
	double := "{{ $a := \"xxxxxxxxxxxxxxxx\" }}" + strings.Repeat("{{ $a = print $a $a $a $a }}", 40)
	for source, want := range map[string]string{
		"{{": "unclosed", "{{ .Nothing }}": "Nothing", double: "more than 65536 bytes",
		"{{ range 1000000000 }}x{{ end }}": "a loop here goes over", "{{ range .Changes }}{{ range $.Changes }}x{{ end }}{{ end }}": "a loop here goes over",
		"{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}": "defines others", strings.Repeat("x", maxTemplate+1): "more than 16384",
		"{{ printf \"%100d\" 1 }}": "at most two digits", "{{ printf \"%.5[1]s%[1]s\" 1 }}": "at most two digits", "{{ printf \"%0*d\" 9 1 }}": "at most two digits",
		"{{ printf \"%9.100f\" 1.0 }}": "at most two digits", double + "{{ len (print" + strings.Repeat(" $a", 4000) + ") }}": "more than 65536 bytes",
	} {
		if _, err := parseTemplate("message", source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", source, err, want)
		}
	}
}

func TestNamesOfBranches(t *testing.T) {
	for name, want := range map[string]bool{
		"main": true, "a/b": true, "bumps-1.2": true, "": false, "-x": false, "a..b": false, "a b": false, "/a": false, "a/": false,
		"a//b": false, ".a": false, "a/.b": false, "a.lock": false, "a\x00": false, "@": false, "a@{b": false, "a.": false, "a~1": false,
	} {
		if isBranchName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
