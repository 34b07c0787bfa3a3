package verify

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMatch(t *testing.T) {
	for name, test := range map[string]struct {
		edges      [][]int
		principals int
		want       int
	}{
		"nobody signed":                                 {[][]int{nil, nil}, 0, 0},
		"one signer of two authorities":                 {[][]int{{0}, {0}}, 1, 1},
		"two signers of one authority":                  {[][]int{{0, 1}}, 2, 1},
		"each its own":                                  {[][]int{{0}, {1}}, 2, 2},
		"the first would take the second's only one":    {[][]int{{0, 1}, {0}}, 2, 2},
		"a chain of three":                              {[][]int{{0, 1}, {1, 2}, {0}, {2}}, 3, 3},
		"three authorities between two signers":         {[][]int{{0, 1}, {0, 1}, {0, 1}}, 2, 2},
		"the last moves all others along":               {[][]int{{0, 1}, {1, 2}, {2, 3}, {0}}, 4, 4},
		"an authority without signers in between":       {[][]int{{0}, nil, {1}}, 2, 2},
		"one key, and an identity that two may be of":   {[][]int{{1}, {0}, {1}}, 2, 2},
		"two patterns over one workflow, and a manager": {[][]int{{0}, {0}, {1}}, 2, 2},
	} {
		got := match(test.edges, test.principals)
		if n := pairs(t, test.edges, got); n != test.want {
			t.Errorf("%s: %d pairs %v, want %d", name, n, got, test.want)
		}
	}
}

// pairs counts them, and checks that they are pairs.
func pairs(t *testing.T, edges [][]int, of []int) int {
	t.Helper()
	n, taken := 0, map[int]bool{}
	for authority, who := range of {
		if who < 0 {
			continue
		}
		if taken[who] || !slices.Contains(edges[authority], who) {
			t.Errorf("%v is no pairing of %v", of, edges)
		}
		taken[who] = true
		n++
	}
	return n
}

// There is no larger pairing: trying all finds none.
func TestMatchIsLargest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		edges, principals := make([][]int, 1+random.IntN(5)), 1+random.IntN(5)
		for i := range edges {
			for who := range principals {
				if random.IntN(3) == 0 {
					edges[i] = append(edges[i], who)
				}
			}
		}
		if got, want := pairs(t, edges, match(edges, principals)), best(edges, map[int]bool{}); got != want {
			t.Fatalf("%v: %d pairs, want %d", edges, got, want)
		}
	}
}

func best(edges [][]int, taken map[int]bool) int {
	if len(edges) == 0 {
		return 0
	}
	most := best(edges[1:], taken)
	for _, who := range edges[0] {
		if !taken[who] {
			taken[who] = true
			most = max(most, 1+best(edges[1:], taken))
			delete(taken, who)
		}
	}
	return most
}
