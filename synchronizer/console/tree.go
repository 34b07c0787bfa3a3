package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
)

// Tree is a Delivery with its objects, and what those made.
type Tree struct {
	Delivery Summary `json:"delivery"`
	// Objects are in the order of applying.
	Objects []*Node `json:"objects"`
	// Problems are what could not be looked at.
	Problems []string `json:"problems,omitempty"`
}

// Node is an object in the cluster. Status is in the words of kstatus: Current,
// InProgress, Failed, Terminating, NotFound, Unknown.
type Node struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Status    string `json:"status"`
	Message   string `json:"message,omitempty"`
	// Drift is how it differs from the release and is left so; the fields, and who
	// set them.
	Drift string `json:"drift,omitempty"`
	// Others hold fields of the object that the release does not.
	Others []Other `json:"others,omitempty"`
	// Annotations are those that change what is done with the object.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Children were made by it: ReplicaSets, Jobs and Pods.
	Children []*Node `json:"children,omitempty"`
}

// Other is a manager of fields.
type Other struct {
	Manager     string     `json:"manager"`
	Operation   string     `json:"operation"`
	Subresource string     `json:"subresource,omitempty"`
	Time        *time.Time `json:"time,omitempty"`
	// Fields are at most ten.
	Fields []string `json:"fields"`
}

// Tree reads a Delivery, its objects, and what those made.
func (c *Client) Tree(ctx context.Context, namespace, name string) (Tree, error) {
	d, err := c.get(ctx, namespace, name)
	if err != nil {
		return Tree{}, err
	}
	t := Tree{Delivery: summarize(d), Objects: []*Node{}}
	judge, err := judgeOf(d)
	if err != nil {
		return Tree{}, err
	}
	owner := engine.OwnerOf(namespace, name)
	s := &search{client: c, selector: engine.OwnerLabel + "=" + string(owner), namespace: namespace}
	grown := map[types.UID]*Node{}
	places := map[string]bool{} // namespaces of what may have children
	err = s.owned(ctx, d.Status.Kinds, func(_ engine.Owner, u *unstructured.Unstructured) {
		node := nodeOf(ctx, u, judge)
		node.Others, node.Annotations = othersOf(u), honoured(u)
		t.Objects, grown[u.GetUID()] = append(t.Objects, node), node
		if u.GetNamespace() != "" && mayHaveHeirs(u.GroupVersionKind().GroupKind()) {
			places[u.GetNamespace()] = true
		}
	})
	if err != nil {
		return Tree{}, err
	}
	if err := s.heirs(ctx, sorted(places), func(u *unstructured.Unstructured) { adopt(ctx, grown, u) }); err != nil {
		return Tree{}, err
	}
	t.tell(d)
	t.sort()
	t.Problems = s.problems
	return t, nil
}

// adopt hangs an object under its parent, if that is in the tree. ReplicaSets that
// were replaced are left out.
func adopt(ctx context.Context, grown map[types.UID]*Node, u *unstructured.Unstructured) {
	parent := grown[parentOf(u)]
	if parent == nil || isReplaced(u) {
		return
	}
	node := nodeOf(ctx, u, nil)
	parent.Children, grown[u.GetUID()] = append(parent.Children, node), node
}

func isReplaced(u *unstructured.Unstructured) bool {
	wanted, found, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
	has, _, _ := unstructured.NestedInt64(u.Object, "status", "replicas")
	return u.GetKind() == "ReplicaSet" && found && wanted == 0 && has == 0
}

// mayHaveHeirs leaves out the kinds of which it is known that they make nothing.
func mayHaveHeirs(gk schema.GroupKind) bool {
	switch gk.Group {
	case "":
		return gk.Kind == "ReplicationController"
	case "rbac.authorization.k8s.io", "networking.k8s.io", "policy", "autoscaling", "scheduling.k8s.io", "storage.k8s.io",
		"admissionregistration.k8s.io", "apiextensions.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "node.k8s.io":
		return false
	}
	return true
}

// judgeOf are the Delivery's own rules of health; nil where it has none.
func judgeOf(d *v1alpha1.Delivery) (engine.Judge, error) {
	var rules []synchronizer.HealthRule
	for _, h := range d.Spec.Health {
		rules = append(rules, synchronizer.HealthRule(h))
	}
	judge, err := synchronizer.NewJudge(rules)
	if err != nil {
		return nil, fmt.Errorf("delivery %s/%s: %w", d.Namespace, d.Name, err)
	}
	return judge, nil
}

func nodeOf(ctx context.Context, u *unstructured.Unstructured, judge engine.Judge) *Node {
	h := engine.Diagnose(ctx, u, judge)
	return &Node{Group: h.Ref.Group, Kind: h.Ref.Kind, Namespace: h.Ref.Namespace, Name: h.Ref.Name, Status: h.Status, Message: h.Message}
}

// Ref is KIND[.GROUP] [NAMESPACE/]NAME, as statuses and messages name the object.
func (n *Node) Ref() string {
	return engine.ObjectRef{Group: n.Group, Kind: n.Kind, Namespace: n.Namespace, Name: n.Name}.String()
}

// tell adds what the Delivery's status says of objects: drift, and what is not there
// at all.
func (t *Tree) tell(d *v1alpha1.Delivery) {
	known := map[string]*Node{}
	for _, n := range t.Objects {
		known[n.Ref()] = n
	}
	for _, drifted := range d.Status.Drifted {
		if ref, how, found := strings.Cut(drifted, ": "); found && known[ref] != nil {
			known[ref].Drift = how
		}
	}
	for _, h := range d.Status.Unhealthy {
		n := &Node{Group: h.Group, Kind: h.Kind, Namespace: h.Namespace, Name: h.Name, Status: h.Status, Message: h.Message}
		if known[n.Ref()] == nil {
			t.Objects = append(t.Objects, n)
		}
	}
}

func (t *Tree) sort() {
	place := func(n *Node) int { return engine.Place(schema.GroupKind{Group: n.Group, Kind: n.Kind}) }
	slices.SortFunc(t.Objects, func(a, b *Node) int { return cmp.Or(cmp.Compare(place(a), place(b)), compareNodes(a, b)) })
	for _, n := range t.Objects {
		n.sort()
	}
}

func (n *Node) sort() {
	slices.SortFunc(n.Children, compareNodes)
	for _, child := range n.Children {
		child.sort()
	}
}

func compareNodes(a, b *Node) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// honoured are the annotations that Sealift acts upon.
func honoured(u *unstructured.Unstructured) map[string]string {
	var found map[string]string
	for key, value := range u.GetAnnotations() {
		prefix, name, _ := strings.Cut(key, "/")
		switch {
		case prefix == "sealift.dev":
		case prefix == "kustomize.toolkit.fluxcd.io" && slices.Contains([]string{"prune", "reconcile", "ssa", "force"}, name):
		case prefix == "argocd.argoproj.io" && slices.Contains([]string{"sync-options", "sync-wave", "hook", "hook-delete-policy"}, name):
		case key == "config.kubernetes.io/depends-on", key == "client.lifecycle.config.k8s.io/mutation":
		default:
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		found[key] = value
	}
	return found
}

// othersOf are the managers of fields besides the synchronizer, status aside.
func othersOf(u *unstructured.Unstructured) []Other {
	const mostFields = 10
	var found []Other
	for _, m := range u.GetManagedFields() {
		ours := m.Manager == engine.FieldManager && m.Operation == metav1.ManagedFieldsOperationApply
		if ours || m.Subresource == "status" || m.FieldsV1 == nil {
			continue
		}
		set := &fieldpath.Set{}
		if set.FromJSON(m.FieldsV1.GetRawReader()) != nil {
			continue
		}
		other := Other{Manager: m.Manager, Operation: string(m.Operation), Subresource: m.Subresource, Fields: []string{}}
		if m.Time != nil {
			other.Time = &m.Time.Time
		}
		set.Leaves().Iterate(func(p fieldpath.Path) {
			written := p.String()
			if len(other.Fields) < mostFields && !strings.HasPrefix(written, ".status.") {
				other.Fields = append(other.Fields, written)
			}
		})
		if len(other.Fields) > 0 {
			found = append(found, other)
		}
	}
	return found
}

func sorted(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for key := range set {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}
