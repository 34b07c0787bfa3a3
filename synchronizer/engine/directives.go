package engine

import (
	"cmp"
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mode is how much of an object's wanted state is applied.
type mode string

const (
	// override takes over what clients from before the delivery hold.
	override mode = ""
	// merge leaves those clients the fields that the release does not set.
	merge mode = "Merge"
	// ifNotPresent creates, and changes nothing that is there.
	ifNotPresent mode = "IfNotPresent"
	// ignore neither creates nor changes.
	ignore mode = "Ignore"
)

// directives is what an object's annotations ask for, ours and peers'. Each text
// is the annotation that asks, and empty when none does. The zero directives
// asks for nothing.
type directives struct {
	// local objects are never sent to the cluster.
	local string
	// unreconciled objects are neither applied nor pruned.
	unreconciled string
	// mode is asked for by modeBy.
	mode   mode
	modeBy string
	// recreate allows to delete and create what cannot be changed.
	recreate string
	// undrifted objects are changed by releases only.
	undrifted string
	// keep forbids to prune; keepLast also when the Delivery is deleted, and only
	// then. confirm and confirmLast want a person's word before that.
	keep, keepLast, confirm, confirmLast string
}

const (
	sealiftPrefix = "sealift.dev/"
	fluxPrefix    = "kustomize.toolkit.fluxcd.io/"
	argoOptions   = "argocd.argoproj.io/sync-options"
	localConfig   = "config.kubernetes.io/local-config"
	mutation      = "client.lifecycle.config.k8s.io/mutation"
)

// directiveKeys are the annotations that hold directives.
func directiveKeys() []string {
	return []string{
		sealiftPrefix + "prune", sealiftPrefix + "delete", sealiftPrefix + "drift", sealiftPrefix + "reconcile", sealiftPrefix + "apply", sealiftPrefix + "recreate",
		fluxPrefix + "prune", fluxPrefix + "reconcile", fluxPrefix + "ssa", fluxPrefix + "force",
		argoOptions, localConfig, mutation,
	}
}

// readDirectives reads annotations; ours come before peers'.
func readDirectives(annotations map[string]string) directives {
	var d directives
	if len(annotations) == 0 {
		return d
	}
	says := func(key, value string) string {
		if strings.EqualFold(strings.TrimSpace(annotations[key]), value) {
			return key + ": " + value
		}
		return ""
	}
	d.local = says(localConfig, "true")
	d.keep = cmp.Or(says(sealiftPrefix+"prune", "disabled"), says(fluxPrefix+"prune", "disabled"))
	d.confirm = says(sealiftPrefix+"prune", "confirm")
	d.keepLast, d.confirmLast = says(sealiftPrefix+"delete", "disabled"), says(sealiftPrefix+"delete", "confirm")
	d.undrifted = says(sealiftPrefix+"drift", "ignore")
	d.unreconciled = cmp.Or(says(sealiftPrefix+"reconcile", "disabled"), says(fluxPrefix+"reconcile", "disabled"))
	d.recreate = cmp.Or(says(sealiftPrefix+"recreate", "enabled"), says(fluxPrefix+"force", "enabled"))
	for _, m := range []mode{merge, ifNotPresent, ignore} {
		if by := says(fluxPrefix+"ssa", string(m)); by != "" {
			d.mode, d.modeBy = m, by
		}
	}
	if by := says(mutation, "ignore"); by != "" && d.modeBy == "" {
		d.mode, d.modeBy = ifNotPresent, by
	}
	for _, m := range []mode{override, merge, ifNotPresent, ignore} {
		if by := says(sealiftPrefix+"apply", cmp.Or(string(m), "Override")); by != "" {
			d.mode, d.modeBy = m, by
		}
	}
	d.readOptions(annotations[argoOptions])
	return d
}

// readOptions reads Argo CD's list of options.
func (d *directives) readOptions(list string) {
	for option := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(option)), "=")
		asks := argoOptions + ": " + strings.TrimSpace(option)
		switch strings.TrimSpace(key) + "=" + strings.TrimSpace(value) {
		case "prune=false":
			d.keep = cmp.Or(d.keep, asks)
		case "prune=confirm":
			d.confirm = cmp.Or(d.confirm, asks)
		case "delete=false":
			d.keepLast = cmp.Or(d.keepLast, asks)
		case "delete=confirm":
			d.confirmLast = cmp.Or(d.confirmLast, asks)
		case "replace=true", "force=true":
			d.recreate = cmp.Or(d.recreate, asks)
		}
	}
}

// liveDirectives is what a live object asks for: of what decides about applying,
// only what somebody else than the engine wrote there. Otherwise a directive that
// a release drops would hold the object that it is to be dropped from.
func liveDirectives(m *metav1.PartialObjectMetadata, own *entry) directives {
	all := readDirectives(m.Annotations)
	if all == (directives{}) {
		return all
	}
	foreign := map[string]string{}
	ours := ownAnnotations(own)
	for _, key := range directiveKeys() {
		if _, held := ours["f:"+key]; !held && m.Annotations[key] != "" {
			foreign[key] = m.Annotations[key]
		}
	}
	d := readDirectives(foreign)
	d.keep, d.keepLast, d.confirm, d.confirmLast = cmp.Or(all.keep, all.unreconciled), all.keepLast, all.confirm, all.confirmLast
	d.local = ""
	return d
}

// ownAnnotations are the annotations that our entry holds, as "f:KEY".
func ownAnnotations(own *entry) map[string]json.RawMessage {
	var set struct {
		Metadata struct {
			Annotations map[string]json.RawMessage `json:"f:annotations"`
		} `json:"f:metadata"`
	}
	if own == nil || json.Unmarshal(own.fields, &set) != nil {
		return nil
	}
	return set.Metadata.Annotations
}

// with adds what the live object asks for to what the wanted one does; the wanted
// one comes first.
func (d *directives) with(live *directives) directives {
	all := asks(d)
	if live == nil {
		return all
	}
	all.unreconciled = cmp.Or(all.unreconciled, live.unreconciled)
	all.undrifted = cmp.Or(all.undrifted, live.undrifted)
	all.recreate = cmp.Or(all.recreate, live.recreate)
	if all.modeBy == "" {
		all.mode, all.modeBy = live.mode, live.modeBy
	}
	return all
}

// untouched says why an object is not applied, whether it is there or not; empty
// when it may be.
func (d directives) untouched() string {
	if d.unreconciled != "" {
		return d.unreconciled
	}
	if d.mode == ignore {
		return d.modeBy
	}
	return ""
}

// asks reads directives; nil asks for nothing.
func asks(d *directives) directives {
	if d == nil {
		return directives{}
	}
	return *d
}

// leftAlone says that an object is not applied, so that its being there is all
// that its health is.
func leftAlone(it item, r record) bool {
	return r.passed != nil || it.asks.with(r.asks).untouched() != ""
}

// absent says that an object which is not applied is not there either, as far as
// the watches show.
func absent(it item, r record) bool {
	return r.passed == nil && r.rv == 0 && it.asks.with(r.asks).untouched() != ""
}
