package test

import (
	"os"
	"testing"
)

// TestRecoveryFromRegistry rebuilds a cluster from nothing: an empty control plane gets the
// definitions, the namespace and the Delivery, and all that ran is back from the registry alone.
// Only what was accepted is not there, unless its records were kept elsewhere.
func TestRecoveryFromRegistry(t *testing.T) {
	old := onSync(t)
	files := fifty(0)
	files["deploy/web.yaml"] = deployment("web", 2, "example.com/web:1")
	older := old.publish(files)
	old.deliver(old.source("tag: live", ""))
	newest := old.publish(map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:2")})
	old.point(newest, "live")
	old.equals(newest)
	records := old.kubectl("get", "configmaps", "-n", "sealift-system", "-l", "app.kubernetes.io/managed-by=sealift", "-o", "yaml")
	old.point(older, "live") // by somebody who knows that the cluster was lost

	rebuilt := *old
	w := &rebuilt
	w.cluster, w.others = ownStage(t).cluster, ""
	w.admit()
	w.apply(records)
	running, err := startSync(w.cluster)
	must(t, err)
	defer running.end(os.Interrupt)
	w.deliver(w.source("tag: live", ""))
	w.refused("Downgrade")
	if len(w.ours()) > 0 {
		t.Error("something was written")
	}
	w.point(newest, "live")
	w.equals(newest)

	t.Run("without records an older release passes", func(t *testing.T) {
		forgetful := *w
		f := &forgetful
		f.name, f.shares = "forgetful", w.name
		f.point(older, "old")
		f.admit()
		f.deliver(f.source("tag: old", ""))
		f.delivered(older)
	})
}
