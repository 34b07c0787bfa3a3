package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

// UnmarshalJSON reads a Delivery. One whose spec cannot be read, which an earlier definition
// let in, does not keep the others of its list from being read: its spec is empty, and
// Unreadable says why.
func (d *Delivery) UnmarshalJSON(data []byte) error {
	type plain Delivery
	var whole plain
	problem := json.Unmarshal(data, &whole)
	if problem == nil {
		*d = Delivery(whole)
		return nil
	}
	var rest struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Status            DeliveryStatus `json:"status"`
	}
	if err := json.Unmarshal(data, &rest); err != nil {
		return err
	}
	*d = Delivery{TypeMeta: rest.TypeMeta, ObjectMeta: rest.ObjectMeta, Status: rest.Status, Unreadable: problem.Error()}
	return nil
}
