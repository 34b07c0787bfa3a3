package bump

import (
	"context"
	"fmt"
	"strings"
)

// Choice is what it took to choose one of many tags.
type Choice struct {
	Tags    int  `json:"tags"`
	Choose  Cost `json:"choose"`  // sealift images choose --image
	Listing Cost `json:"listing"` // a program that lists all tags, and keeps none
}

// choosing reads tag lists of growing length. One range ends in the middle of it.
func (g *ground) choosing(ctx context.Context) ([]Choice, error) {
	var all []Choice
	for _, n := range g.Tags {
		repository := fmt.Sprintf("many-%d", n)
		tags := make([]string, n)
		for i := range tags {
			tags[i] = fmt.Sprintf("%d.%d.%d", 1+i/5000, i/50%100, i%50)
		}
		g.shelf.put(repository, tags...)
		image := g.shelf.host + "/" + repository
		c := Choice{Tags: n}
		var err error
		c.Choose, err = g.repeat(fmt.Sprintf("choosing from %d tags", n), func() (Cost, error) {
			return g.act(ctx, ours, g.Sealift, "images", "choose", "--image", image, "--semver", ">=1.0.0")
		})
		if err != nil {
			return nil, err
		}
		c.Listing, err = g.repeat(fmt.Sprintf("listing %d tags", n), func() (Cost, error) {
			return g.act(ctx, ours, g.List[0], append(g.List[1:], "http://"+g.shelf.host, repository)...)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// kilobytes is the number behind a name in one of Linux's files; 0: it is not there.
func kilobytes(text, name string) int64 {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, name); found {
			var n int64
			if _, err := fmt.Sscan(rest, &n); err == nil {
				return n
			}
		}
	}
	return 0
}
