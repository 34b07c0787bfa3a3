package giturl

import "testing"

func TestNormalize(t *testing.T) {
	for want, spellings := range map[string][]string{
		"https://github.com/a/b": {"https://github.com/a/b", "https://github.com/a/b/", "https://github.com/a/b.git", "https://github.com/a/b.git/",
			"https://token@github.com/a/b.git", "https://u:p%zz@github.com/a/b.git", "https://u:p@ss@github.com/a/b.git", "https://github.com/a/b.git?token=x#y", "https://u:p%zz@github.com/a/b.git?token=x#y"},
		"ssh://example.com/a/b": {"git@example.com:a/b.git", "git@example.com:/a/b", "example.com:a/b", "u:secret@example.com:a/b.git",
			"ssh://git@example.com/a/b.git", "ssh://git:secret@example.com/a/b"},
		"ssh://example.com:2222/a": {"ssh://git@example.com:2222/a.git"},
		"http://github.com/a":      {"http://github.com/a"},
		"/srv/git/a":               {"/srv/git/a.git", "/srv/git/a/"},
		"file:///srv/git/a":        {"file:///srv/git/a.git"},
		"../a:b":                   {"../a:b"},
		"github.com/a":             {"u:secret@github.com/a", "secret@github.com/a"}, // no address that Git knows, but maybe a secret
		"":                         {""},
	} {
		for _, in := range spellings {
			if got := Normalize(in); got != want {
				t.Errorf("%s: %s", in, got)
			}
		}
	}
}
