package test

import (
	"fmt"
	"strings"
	"testing"
)

// resting are objects of which nothing is to be awaited, though much of what they are for is
// not there: no load balancer's controller, no metrics, no node for a daemon.
func resting() map[string]string {
	const pod = "template: {metadata: {labels: {app: NAME}}, spec: {containers: [{name: c, image: \"example.com/c:VERSION\"}]}}"
	return map[string]string{
		"deploy/ondelete.yaml": "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: ondelete}\nspec: {replicas: 1, serviceName: s, updateStrategy: {type: OnDelete}, selector: {matchLabels: {app: ondelete}}, " + strings.ReplaceAll(pod, "NAME", "ondelete") + "}\n",
		"deploy/zero.yaml":     "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: zero}\nspec: {replicas: 0, selector: {matchLabels: {app: zero}}, " + strings.ReplaceAll(pod, "NAME", "zero") + "}\n",
		"deploy/daemon.yaml":   "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: daemon}\nspec: {selector: {matchLabels: {app: daemon}}, template: {metadata: {labels: {app: daemon}}, spec: {nodeSelector: {nowhere: \"true\"}, containers: [{name: c, image: \"example.com/c:VERSION\"}]}}}\n",
		"deploy/pdb.yaml":      "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: pdb}\nspec: {minAvailable: 1, selector: {matchLabels: {app: nobody}}}\n",
		"deploy/hpa.yaml":      "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: hpa}\nspec: {minReplicas: 1, maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: zero}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}\n",
		"deploy/ingress.yaml":  "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: ingress}\nspec: {defaultBackend: {service: {name: s, port: {number: 80}}}}\n",
		"deploy/cron.yaml":     "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: cron}\nspec: {suspend: true, schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: \"example.com/c:VERSION\"}]}}}}}\n",
		"deploy/once.yaml":     "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {ttlSecondsAfterFinished: 0, template: {spec: {restartPolicy: Never, containers: [{name: c, image: \"example.com/c:1\"}]}}}\n",
		"deploy/role.yaml":     rbac + "kind: Role\nmetadata: {name: role}\nrules: []\n",
		"deploy/limits.yaml":   "apiVersion: v1\nkind: LimitRange\nmetadata: {name: limits}\nspec: {limits: []}\n",
		"deploy/balanced.yaml": strings.Replace(service("balanced"), "spec:", "spec:\n  type: LoadBalancer", 1),
	}
}

// TestKindsThatRest: a release of kinds that wait for nothing is Ready, a change of it too, and
// a Job that its time to live took away stays away.
func TestKindsThatRest(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	files := resting()
	of := func(version string) map[string]string {
		now := map[string]string{}
		for path, document := range files {
			now[path] = strings.ReplaceAll(document, "VERSION", version)
		}
		return now
	}
	w.deliver(w.source("tag: main", ""))
	w.delivered(w.publish(of("1")))
	w.until("the Job gone", func() bool { return !w.exists("job", "once") })
	w.delivered(w.publish(of("2")))
	if got := w.kubectl("get", "pods", "-n", w.name, "-l", "app=ondelete", "-o", "jsonpath={.items[*].spec.containers[0].image}"); got != "example.com/c:1" {
		t.Errorf("the pod of a StatefulSet that updates on deletion has the image %s", got)
	}
	if ran := w.created("/jobs/once"); ran != 1 {
		t.Errorf("the Job ran %d times", ran)
	}
}

// TestKindsThatAreAwaited: objects that say they are not ready, in the words that many
// controllers have in common, hold the release back until they say otherwise.
func TestKindsThatAreAwaited(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.apply(statusGadgets(w.group()))
	w.deliver(w.source("tag: main", ""))
	release := w.publish(map[string]string{"deploy/silent.yaml": gadget(w.group(), "silent", "1")})
	w.delivered(release)
	for _, says := range []struct{ status, reads string }{
		{`{"conditions":[{"type":"Ready","status":"False","reason":"No","message":"not yet"}]}`, "InProgress"},
		{`{"conditions":[{"type":"Stalled","status":"True","reason":"No","message":"never"}]}`, "Failed"},
		{`{"observedGeneration":-1,"conditions":null}`, "InProgress"},
		{`{"conditions":[{"type":"Reconciling","status":"True","reason":"No","message":"on it"}],"observedGeneration":null}`, "InProgress"},
		{`{"conditions":"well"}`, "Unknown"},
	} {
		w.kubectl("patch", "gadgets."+w.group(), "silent", "-n", w.name, "--type=merge", fmt.Sprintf(`--patch={"status":%s}`, says.status))
		w.until("it is "+says.reads+" for "+says.status, func() bool {
			return w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.unhealthy[*].status}") == says.reads
		})
		w.kubectl("patch", "gadgets."+w.group(), "silent", "-n", w.name, "--type=merge", `--patch={"status":{"conditions":[{"type":"Ready","status":"True","reason":"Yes","message":""}],"observedGeneration":null}}`)
		w.delivered(release)
	}
}
