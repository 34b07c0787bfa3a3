package edit

import (
	"fmt"
	"regexp"

	"github.com/opencontainers/go-digest"
)

// Check says what is wrong with an image that is to be written: its policy, its repository,
// and the tag have to be there, and a digest has to be one.
func (i Image) Check() error {
	name := `[A-Za-z0-9][-A-Za-z0-9_.]{0,252}`
	host := `[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?`
	part := `[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*`
	switch {
	case !matches(name+":"+name, i.Policy):
		return fmt.Errorf("%q is no NAMESPACE:NAME", i.Policy)
	case len(i.Repo) > 255 || !matches("("+host+"/)?"+part+"(/"+part+")*", i.Repo):
		return fmt.Errorf("image %q is no repository; hint: write HOST/REPOSITORY without a tag", i.Repo)
	case !matches(`[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}`, i.Tag):
		return fmt.Errorf("tag %q is no tag", i.Tag)
	}
	if i.Digest == "" {
		return nil
	}
	if err := digest.Digest(i.Digest).Validate(); err != nil {
		return fmt.Errorf("digest %q: %w; hint: sha256: and 64 hexadecimal digits", i.Digest, err)
	}
	return nil
}

func matches(expr, text string) bool {
	return regexp.MustCompile(`\A(?:` + expr + `)\z`).MatchString(text)
}
