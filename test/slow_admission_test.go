package test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestSlowAdmissionOfOneTenant: with four workers, and forty Deliveries of one tenant whose
// objects an admission webhook never answers for, another tenant's release is delivered,
// upgraded and healed.
func TestSlowAdmissionOfOneTenant(t *testing.T) {
	w := onFragile(t)
	hostile := w.name + "-hostile"
	w.apply(admission(hostile))
	asked := w.neverAdmits(hostile)
	w.runs("--workers", "4")

	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	var all strings.Builder
	for i := range 40 {
		one := w.manifest(w.source("tag: main", ""))
		one = strings.ReplaceAll(one, "namespace: "+w.name, "namespace: "+hostile)
		all.WriteString("---\n" + strings.Replace(one, "name: "+w.name, fmt.Sprintf("name: slow-%d", i), 1))
	}
	w.apply(all.String())
	w.until("the webhook is asked for two of them", func() bool { return asked.Load() > 1 })

	w.deliver(w.source("tag: main", ""))
	w.undisturbed(first, hostile)
	w.kubectl("delete", "validatingwebhookconfiguration", hostile)
	w.kubectl("delete", "deliveries", "--all", "-n", hostile, "--wait=false")
}

// neverAdmits puts a webhook before the config maps of a namespace that takes requests and
// answers none, for as long as an API server waits; it counts them.
func (w *world) neverAdmits(namespace string) *atomic.Int64 {
	w.t.Helper()
	var asked atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // who hangs up is noticed after that only
		<-r.Context().Done()
	}))
	w.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w.apply(fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
  - name: slow.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    timeoutSeconds: 30
    clientConfig: {url: %[2]q, caBundle: %[3]s}
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    rules: [{apiGroups: [""], apiVersions: ["v1"], resources: [configmaps], operations: [CREATE, UPDATE]}]
`, namespace, server.URL, base64.StdEncoding.EncodeToString(authority)))
	w.t.Cleanup(func() {
		_, _ = w.cluster.Kubectl(w.t.Context(), "delete", "validatingwebhookconfiguration", namespace, "--ignore-not-found")
	})
	return &asked
}
