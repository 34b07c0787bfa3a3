package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	integers "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// reading is what is kept of an object that a watch showed in full: its metadata, and
// how it is in the eyes of kstatus. Kinds whose health shows in their status are
// watched so: a watch of metadata only would have each change of a status read by a
// request of its own.
type reading struct {
	metav1.PartialObjectMetadata
	// verdict is nil where the status was not shown.
	verdict *verdict
	// live is the object without its metadata, until it is judged.
	live map[string]any
}

// readings is a list of readings.
type readings struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []reading `json:"items"`
}

// DeepCopyObject copies the list for the reflector, which changes no item.
func (l *readings) DeepCopyObject() runtime.Object {
	copied := *l
	return &copied
}

// DeepCopyObject copies the reading for the reflector.
func (r *reading) DeepCopyObject() runtime.Object {
	copied := *r
	return &copied
}

// UnmarshalJSON reads an object; judge forgets all but its metadata and its verdict.
func (r *reading) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &r.PartialObjectMetadata); err != nil {
		return err
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	r.live = map[string]any{}
	for name, raw := range parts {
		if name == "metadata" {
			continue
		}
		var value any
		if err := integers.Unmarshal(raw, &value); err != nil {
			return err
		}
		r.live[name] = value
	}
	return nil
}

// judge is said which kind it is: the items of a list do not say it themselves.
func (r *reading) judge(gvk schema.GroupVersionKind) {
	live := &unstructured.Unstructured{Object: r.live}
	r.live = nil
	live.SetGroupVersionKind(gvk)
	live.SetUID(r.UID)
	live.SetName(r.Name)
	live.SetNamespace(r.Namespace)
	live.SetResourceVersion(r.ResourceVersion)
	live.SetGeneration(r.Generation)
	live.SetAnnotations(r.Annotations)
	live.SetCreationTimestamp(r.CreationTimestamp)
	live.SetDeletionTimestamp(r.DeletionTimestamp)
	v := kstatusOf(live)
	r.verdict = &v
}

// reader lists and watches objects in full, and makes readings of them.
type reader struct{ client rest.Interface }

func newReader(config *rest.Config, client *http.Client) (*reader, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = nil, "/unused"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	unversioned, err := rest.UnversionedRESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	return &reader{unversioned}, nil
}

// request is for a namespace, or for the whole cluster where that is empty.
func (r *reader) request(gvr schema.GroupVersionResource, namespace string, o metav1.ListOptions) *rest.Request {
	path := []string{"apis", gvr.Group, gvr.Version}
	if gvr.Group == coreGroup {
		path = []string{"api", gvr.Version}
	}
	if namespace != "" {
		path = append(path, "namespaces", namespace)
	}
	return r.client.Get().AbsPath(append(path, gvr.Resource)...).SpecificallyVersionedParams(&o, metav1.ParameterCodec, metav1.Unversioned)
}

func (r *reader) list(ctx context.Context, gvr schema.GroupVersionResource, namespace, kind string, o metav1.ListOptions) (*readings, error) {
	data, err := r.request(gvr, namespace, o).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var list readings
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading the list of %s: %w", gvr.GroupResource(), err)
	}
	for i := range list.Items {
		list.Items[i].judge(gvr.GroupVersion().WithKind(kind))
	}
	return &list, nil
}

func (r *reader) watch(ctx context.Context, gvr schema.GroupVersionResource, kind string, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	stream, err := r.request(gvr, "", o).Stream(ctx)
	if err != nil {
		return nil, err
	}
	reporter := apierrors.NewClientErrorReporter(http.StatusInternalServerError, "watch", "ClientWatchDecoding")
	return watch.NewStreamWatcher(&events{decoder: json.NewDecoder(stream), stream: stream, gvk: gvr.GroupVersion().WithKind(kind)}, reporter), nil
}

// events reads the frames of a watch.
type events struct {
	decoder *json.Decoder
	stream  io.Closer
	gvk     schema.GroupVersionKind
}

// Decode reads the next event. A bookmark has metadata only, and an error is a Status.
func (e *events) Decode() (watch.EventType, runtime.Object, error) {
	var event struct {
		Type   watch.EventType
		Object json.RawMessage
	}
	if err := e.decoder.Decode(&event); err != nil {
		return "", nil, err
	}
	switch event.Type {
	case watch.Error:
		var status metav1.Status
		return event.Type, &status, json.Unmarshal(event.Object, &status)
	case watch.Added, watch.Modified, watch.Deleted, watch.Bookmark:
		var one reading
		if err := json.Unmarshal(event.Object, &one); err != nil {
			return "", nil, err
		}
		if event.Type != watch.Bookmark {
			one.judge(e.gvk)
		}
		return event.Type, &one, nil
	}
	return "", nil, errors.New("an event of the unknown type " + string(event.Type))
}

// Close ends the watch.
func (e *events) Close() { e.stream.Close() }
