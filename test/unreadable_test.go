package test

import (
	"os"
	"strings"
	"testing"
)

// TestUnreadableDeliveryStopsOnlyItself: a Delivery that an earlier definition let in, and that
// cannot be read, is told so; all others of its kind are served, new ones too.
func TestUnreadableDeliveryStopsOnlyItself(t *testing.T) {
	t.Parallel()
	w := ownStage(t)
	const rule = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/maxPrune/x-kubernetes-validations"
	w.kubectl("patch", "crd", "deliveries.sealift.dev", "--type=json", `--patch=[{"op":"remove","path":"`+rule+`"}]`)
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	broken := func(name string) {
		w.until("the definition without the rule", func() bool {
			_, err := w.cluster.KubectlInput(t.Context(), strings.NewReplacer("NAME", name, "SPACE", w.name).Replace(
				"apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: NAME, namespace: SPACE}\nspec:\n  maxPrune: 99999999999\n  serviceAccountName: deployer\n")+w.source("tag: main", ""), "create", "-f", "-")
			return err == nil
		})
	}
	broken("before")
	running, err := startSync(w.cluster)
	must(t, err)
	defer running.end(os.Interrupt)
	w.deliver(w.source("tag: main", ""))
	w.delivered(release)
	broken("meanwhile")
	for _, name := range []string{"before", "meanwhile"} {
		if message := w.untilNamed(name, "False", "InvalidSpec"); !strings.Contains(message, "maxPrune") || !strings.Contains(message, "hint: ") {
			t.Errorf("it is not said what is wrong with %s: %s", name, message)
		}
	}
	next := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	w.delivered(next)
	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	w.kubectl("patch", "delivery", "meanwhile", "-n", w.name, "--type=merge", `--patch={"spec":{"maxPrune":5,"suspend":true}}`)
	w.untilNamed("meanwhile", "False", "Suspended")
}
