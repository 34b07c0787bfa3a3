package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"sealift.dev/synchronizer/engine"
)

// bystanders makes objects that a Delivery must leave as they are: one without a label, and
// one on which a person copied the Delivery's.
func (w *world) bystanders() {
	w.t.Helper()
	label := fmt.Sprintf("labels: {%s: %s}", engine.OwnerLabel, engine.OwnerOf(w.name, w.name))
	manifest := configMap("bystander", "1") + "---\n" + strings.Replace(configMap("copied", "1"), "name: copied", "name: copied, "+label, 1)
	w.kubectl("apply", "-n", w.name, "-f", w.file("bystanders.yaml", manifest))
	w.others = w.strangers()
}

// strangers tells the versions of the bystanders, as far as they are there.
func (w *world) strangers() string {
	return w.kubectl("get", "configmaps", "bystander", "copied", "-n", w.name, "--ignore-not-found",
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
}

// equals waits until the cluster is what the clone's folder deploy says, delivered as p:
// exactly those objects, ours, with the values wanted; none of ours beside them, of any kind
// that the cluster knows; those of others as they were; the status of a finished delivery.
func (w *world) equals(p published) {
	w.t.Helper()
	w.delivered(p)
	w.same(p, w.wanted())
}

// same is equals for whatever Ready says, such as after a rollback: p is what was applied.
func (w *world) same(p published, want []*unstructured.Unstructured) {
	w.t.Helper()
	var differ []string
	for deadline := time.Now().Add(inTime); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if differ = append(w.compare(want), w.untidy(p, want)...); len(differ) == 0 {
			return
		}
	}
	w.t.Fatalf("%s: the cluster is not what was released:\n%s", w.name, strings.Join(differ, "\n"))
}

// wanted reads the objects of the clone's folder deploy.
func (w *world) wanted() []*unstructured.Unstructured {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.work, "deploy", "*.yaml"))
	must(w.t, err)
	var objects []*unstructured.Unstructured
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(w.t, err)
		for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096); ; {
			o := &unstructured.Unstructured{}
			err := decoder.Decode(&o.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			must(w.t, err)
			objects = append(objects, o)
		}
	}
	return objects
}

// compare says how what is ours in the cluster differs from want.
func (w *world) compare(want []*unstructured.Unstructured) []string {
	w.t.Helper()
	live := w.ours()
	var differ []string
	for _, o := range want {
		namespaced := idOf(o.GroupVersionKind().GroupKind(), w.name, o.GetName())
		key := namespaced
		if live[key] == nil {
			key = idOf(o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName())
		}
		found := live[key]
		delete(live, key)
		if found == nil {
			differ = append(differ, namespaced+" is missing, or not ours")
			continue
		}
		differ = append(differ, lacks(key, o.Object, found.Object)...)
	}
	for key := range live {
		differ = append(differ, key+" is an orphan")
	}
	return differ
}

// lacks says where live has not the values that want has.
func lacks(path string, want, live any) []string {
	var differ []string
	switch want := want.(type) {
	case map[string]any:
		has, _ := live.(map[string]any)
		for key, value := range want {
			differ = append(differ, lacks(path+"."+key, value, has[key])...)
		}
	case []any:
		has, _ := live.([]any)
		if len(has) != len(want) {
			return []string{fmt.Sprintf("%s has %d entries, want %d", path, len(has), len(want))}
		}
		for i := range want {
			differ = append(differ, lacks(fmt.Sprintf("%s[%d]", path, i), want[i], has[i])...)
		}
	default:
		if fmt.Sprint(want) != fmt.Sprint(live) {
			return []string{fmt.Sprintf("%s is %v, want %v", path, live, want)}
		}
	}
	return differ
}

func idOf(kind schema.GroupKind, namespace, name string) string {
	return strings.TrimPrefix(kind.String()+" "+namespace+"/"+name, " ")
}

// ours lists what carries the Delivery's label by Sealift's own doing, of every kind there is.
func (w *world) ours() map[string]*unstructured.Unstructured {
	w.t.Helper()
	config := w.cluster.AdminConfig()
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	must(w.t, err)
	lists, err := disco.ServerPreferredResources()
	must(w.t, err)
	client, err := dynamic.NewForConfig(config)
	must(w.t, err)
	found := map[string]*unstructured.Unstructured{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, resource := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "patch"}}, lists) {
		group, err := schema.ParseGroupVersion(resource.GroupVersion)
		must(w.t, err)
		for _, r := range resource.APIResources {
			all.Go(func() {
				listed, err := client.Resource(group.WithResource(r.Name)).List(w.t.Context(), metav1.ListOptions{LabelSelector: engine.OwnerLabel})
				if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
					return // a definition that is going, or Events of the other group
				}
				if err != nil {
					w.t.Errorf("listing %s: %v", r.Name, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for i := range listed.Items {
					o := &listed.Items[i]
					if o.GetLabels()[engine.OwnerLabel] == string(engine.OwnerOf(w.name, w.name)) && applied(o) {
						found[idOf(o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName())] = o
					}
				}
			})
		}
	}
	all.Wait()
	return found
}

// applied says that the label is Sealift's own doing.
func applied(o *unstructured.Unstructured) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == engine.FieldManager && f.Operation == metav1.ManagedFieldsOperationApply &&
			strings.Contains(string(f.FieldsV1.GetRawBytes()), `"f:`+engine.OwnerLabel+`"`)
	})
}

// untidy says what is left over besides objects: in the status, and in the objects of others.
func (w *world) untidy(p published, want []*unstructured.Unstructured) []string {
	w.t.Helper()
	var differ []string
	d := w.status()
	if d.Status.Applied.Digest != p.Digest {
		differ = append(differ, fmt.Sprintf("status.applied is %s, want %s", d.Status.Applied.Digest, p.Digest))
	}
	var kinds, listed []string
	for _, o := range want {
		kinds = append(kinds, o.GroupVersionKind().GroupKind().String())
	}
	for _, k := range d.Status.Kinds {
		listed = append(listed, schema.GroupKind{Group: k.Group, Kind: k.Kind}.String())
	}
	slices.Sort(kinds)
	slices.Sort(listed)
	if kinds = slices.Compact(kinds); !slices.Equal(kinds, listed) {
		differ = append(differ, fmt.Sprintf("status.kinds are %s, want %s", listed, kinds))
	}
	if got := w.strangers(); got != w.others {
		differ = append(differ, fmt.Sprintf("bystanders were %q and are %q", w.others, got))
	}
	return differ
}

// TestEqualsSeesDifferences: the check itself is not blind.
func TestEqualsSeesDifferences(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.bystanders()
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/s.yaml": service("s")})
	w.deliver(w.source("tag: main", "  drift: Report\n"))
	w.equals(first)
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"spec":{"suspend":true}}`) // or the stray goes at once, where its kind is watched
	w.until("it rests", func() bool { _, reason, _ := w.status().ready(); return reason == "Suspended" })
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"2"}}`)
	w.kubectl("delete", "configmap", "copied", "-n", w.name)
	w.kubectl("apply", "--server-side", "--field-manager="+engine.FieldManager, "-f", w.file("role.yaml", fmt.Sprintf(
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: stray, namespace: %[1]s, labels: {%[2]s: %[3]s}}\n", w.name, engine.OwnerLabel, engine.OwnerOf(w.name, w.name))))
	got := append(w.compare(w.wanted()), w.untidy(first, w.wanted())...)
	must(t, os.Remove(filepath.Join(w.work, "deploy/s.yaml")))
	got = append(got, w.compare(w.wanted())...)
	for _, want := range []string{"ConfigMap " + w.name + "/a.data.value is 2, want 1", "Role.rbac.authorization.k8s.io " + w.name + "/stray is an orphan",
		fmt.Sprintf("bystanders were %q and are %q", w.others, w.strangers()), "Service " + w.name + "/s is an orphan"} {
		if !slices.Contains(got, want) {
			encoded, _ := json.Marshal(got)
			t.Errorf("it does not see that %s: %s", want, encoded)
		}
	}
}

// file writes a file of the test's folder, and gives its path.
func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	must(w.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}
