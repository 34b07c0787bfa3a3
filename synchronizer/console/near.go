package console

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// missing is a Delivery that is not there, and which ones may be meant instead.
func (c *Client) missing(ctx context.Context, namespace, name string) error {
	hint := "sealift get -A lists all"
	if near := c.near(ctx, namespace, name); len(near) > 0 {
		hint = "there is " + strings.Join(near, ", ")
	}
	return fmt.Errorf("delivery %s in namespace %s: %w; hint: %s", name, namespace, ErrNotFound, hint)
}

// near are Deliveries with almost this name in the namespace, and with this name in
// others, as far as one page of each shows them.
func (c *Client) near(ctx context.Context, namespace, name string) []string {
	const most = 5
	var found []string
	deliveries := c.metadata.Resource(resourceOf("deliveries"))
	here, err := deliveries.Namespace(namespace).List(ctx, metav1.ListOptions{Limit: pageSize})
	if err != nil {
		return nil
	}
	for _, d := range here.Items {
		if d.Name != name && alike(d.Name, name) {
			found = append(found, d.Name)
		}
	}
	named := metav1.ListOptions{Limit: pageSize, FieldSelector: "metadata.name=" + name}
	if elsewhere, err := deliveries.List(ctx, named); err == nil {
		for _, d := range elsewhere.Items {
			found = append(found, d.Name+" in namespace "+d.Namespace)
		}
	}
	slices.Sort(found)
	return found[:min(len(found), most)]
}

// alike says that one name begins the other, or that few letters make it the other.
func alike(a, b string) bool {
	const fewest = 3
	if begun := min(len(a), len(b)); begun >= fewest && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
		return true
	}
	return distance(a, b) <= min(2, len(b)/fewest)
}

// distance is how many letters are to be added, removed or replaced (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
