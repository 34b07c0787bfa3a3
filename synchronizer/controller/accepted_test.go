package controller

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// frozen is an API server that does not let one config map be changed.
type frozen struct {
	client.Client
	name string
}

func (f frozen) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	if o.GetName() == f.name {
		return errors.New("it is immutable")
	}
	return nil
}

// TestOneConfigMapCannotBeWritten: what is saved with it fails, and nothing else that is
// saved at the same time.
func TestOneConfigMapCannotBeWritten(t *testing.T) {
	a := &acceptance{client: frozen{name: "accepted-1"}, stored: map[string]*corev1.ConfigMap{}}
	var batch []*saving
	for i, name := range []string{"accepted-1", "accepted-2"} {
		s := &saving{key: recordKey(types.NamespacedName{Namespace: "shop", Name: name}), value: mark("r.example.com/shop", 1)}
		c := &corev1.ConfigMap{Data: map[string]string{s.key: encode("", s.value)}}
		c.Name, c.ResourceVersion = name, "1"
		a.stored[name], batch = c, append(batch, &saving{key: s.key, value: mark("r.example.com/shop", int64(i+2))})
	}
	failed := a.write(t.Context(), batch)
	if len(failed) != 1 || failed["shop.accepted-1"] == nil {
		t.Errorf("not saved: %v", failed)
	}
}
