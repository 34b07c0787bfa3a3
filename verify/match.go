package verify

// match pairs authorities with principals, each with at most one of the others, so
// that there are as many pairs as possible (augmenting paths, after Kuhn). edges are
// the principals that signed for each authority; the result is the principal of each,
// or -1. Taking the first that fits is not enough: it may use up the only one that
// another authority has.
func match(edges [][]int, principals int) []int {
	of, by := make([]int, len(edges)), make([]int, principals)
	for i := range of {
		of[i] = -1
	}
	for i := range by {
		by[i] = -1
	}
	var seen []bool
	var augment func(authority int) bool
	augment = func(authority int) bool {
		for _, who := range edges[authority] {
			if seen[who] {
				continue
			}
			seen[who] = true
			if by[who] < 0 || augment(by[who]) {
				of[authority], by[who] = who, authority
				return true
			}
		}
		return false
	}
	for authority := range edges {
		seen = make([]bool, principals)
		augment(authority)
	}
	return of
}
