package engine

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// stage is a group of steps that may run side by side; the next stage starts
// when all of them succeeded.
type stage int

const (
	foundations stage = iota // namespaces and CustomResourceDefinitions
	classes                  // *Class kinds and cluster roles
	bindings                 // of cluster roles, which the API server looks up
	supplies                 // what workloads refer to
	grants                   // bindings of roles
	workloads                // everything else
	customs                  // custom resources whose definition comes with them
	gates                    // what may refuse the other stages' requests
)

const coreGroup = ""

// ranks is the order within an apply that kubectl's and Helm's users expect.
var ranks = map[schema.GroupKind]int{
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: 1,
	{Group: coreGroup, Kind: "Namespace"}:                             2,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:         3,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}:  5,
	{Group: coreGroup, Kind: "ResourceQuota"}:                         6,
	{Group: coreGroup, Kind: "ServiceAccount"}:                        8,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:                9,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:         10,
	{Group: coreGroup, Kind: "ConfigMap"}:                             11,
	{Group: coreGroup, Kind: "Secret"}:                                12,
	{Group: coreGroup, Kind: "PersistentVolume"}:                      13,
	{Group: coreGroup, Kind: "PersistentVolumeClaim"}:                 14,
	{Group: coreGroup, Kind: "Service"}:                               15,
	{Group: coreGroup, Kind: "LimitRange"}:                            16,
	{Group: "apps", Kind: "Deployment"}:                               20,
	{Group: "apps", Kind: "StatefulSet"}:                              21,
	{Group: "batch", Kind: "CronJob"}:                                 22,
	{Group: "policy", Kind: "PodDisruptionBudget"}:                    23,
}

const (
	rankClass       = 4
	rankBinding     = 5
	rankRoleBinding = 10
	rankSupplies    = 16
	rankOthers      = 50
	rankGates       = 90
)

// place says in which stage a kind is applied, and where in it. fresh kinds
// are those whose definition is applied by the same plan.
func place(gk schema.GroupKind, fresh bool) (stage, int) {
	switch {
	case fresh:
		return customs, rankOthers
	case gk.Group == "admissionregistration.k8s.io":
		return gates, rankGates
	}
	rank, known := ranks[gk]
	if !known && strings.HasSuffix(gk.Kind, "Class") {
		rank, known = rankClass, true
	}
	switch {
	case !known:
		return workloads, rankOthers
	case rank <= 2:
		return foundations, rank
	case rank < rankBinding:
		return classes, rank
	case rank == rankBinding:
		return bindings, rank
	case rank == rankRoleBinding:
		return grants, rank
	case rank <= rankSupplies:
		return supplies, rank
	default:
		return workloads, rank
	}
}

func compareSteps(a, b *Step) int {
	if c := cmp.Or(cmp.Compare(a.Hook.order(), b.Hook.order()), cmp.Compare(a.Wave, b.Wave), cmp.Compare(a.depth, b.depth),
		cmp.Compare(a.stage, b.stage), cmp.Compare(a.rank, b.rank)); c != 0 {
		return c
	}
	return compareRefs(a.Ref, b.Ref)
}

func compareStrings(pairs ...[2]string) int {
	for _, p := range pairs {
		if c := strings.Compare(p[0], p[1]); c != 0 {
			return c
		}
	}
	return 0
}

// sortKinds orders and deduplicates kinds.
func sortKinds(kinds []schema.GroupKind) []schema.GroupKind {
	slices.SortFunc(kinds, func(a, b schema.GroupKind) int {
		return compareStrings([2]string{a.Group, b.Group}, [2]string{a.Kind, b.Kind})
	})
	return slices.Compact(kinds)
}
