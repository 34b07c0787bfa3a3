package controller

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/verify/policy"
)

const somebody = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAht/zmJBhNmXzVBeC40p6GyVUuKnph1e2J+fcjw9qOMs=\n-----END PUBLIC KEY-----\n"

// TestConcerning: nobody escapes a policy by reading from a mirror, and a policy
// that cannot be used stops those only whom it may concern.
func TestConcerning(t *testing.T) {
	made := func(name, key string, repositories []string, mirrors ...policy.Mirror) v1alpha1.TrustPolicy {
		p := v1alpha1.TrustPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
		p.Spec = policy.Policy{
			Match: policy.Match{Namespaces: []string{"shop"}, Repositories: repositories}, Mirrors: mirrors,
			Trust: policy.Trust{Authorities: []policy.Authority{{Name: "ci", Key: &policy.Key{Data: key}}}},
		}
		return p
	}
	origin, mirror := []string{"registry.example.com/**"}, []string{"mirror.example.com/**"}
	mapped := policy.Mirror{Of: "registry.example.com", At: "mirror.example.com"}
	strict, broken := made("strict", somebody, origin), made("broken", "nonsense", origin)
	secret := made("secret", "", origin)
	secret.Spec.Authorities[0].Key = &policy.Key{SecretRef: &policy.SecretKey{Name: "ci"}}
	tests := []struct {
		name, namespace, place string
		items                  []v1alpha1.TrustPolicy
		want                   string
		required               bool
		problem                string
	}{
		{"it matches", "shop", "registry.example.com/shop", []v1alpha1.TrustPolicy{strict}, "strict", true, ""},
		{"another namespace", "blog", "registry.example.com/shop", []v1alpha1.TrustPolicy{strict, broken}, "", false, ""},
		{"another place", "shop", "mirror.example.com/shop", []v1alpha1.TrustPolicy{strict, broken}, "", false, ""},
		{"broken", "shop", "registry.example.com/shop", []v1alpha1.TrustPolicy{strict, broken}, "", false, "invalid trust policy broken"},
		{"its own mirror", "shop", "mirror.example.com/shop", []v1alpha1.TrustPolicy{made("own", somebody, origin, mapped)}, "own", true, ""},
		{"another policy's mirror", "shop", "mirror.example.com/shop", []v1alpha1.TrustPolicy{made("maps", somebody, mirror, mapped), strict}, "maps strict", true, ""},
		{"broken behind a mirror", "shop", "mirror.example.com/shop", []v1alpha1.TrustPolicy{made("maps", somebody, mirror, mapped), broken}, "", false, "invalid trust policy broken"},
		{"secret", "shop", "registry.example.com/shop", []v1alpha1.TrustPolicy{secret}, "", false, "no such secret ci"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			read := func(ref policy.SecretKey) ([]byte, error) { return nil, errors.New("no such secret " + ref.Name) }
			found, required, err := new(reconciler).concerning(tt.items, tt.namespace, tt.place, read)
			if err != nil || tt.problem != "" {
				if err == nil || tt.problem == "" || !strings.Contains(err.Error(), tt.problem) {
					t.Fatalf("error %v, want %q", err, tt.problem)
				}
				return
			}
			var names []string
			for _, named := range found {
				names = append(names, strings.TrimPrefix(named.Name, "TrustPolicy "))
			}
			if got := strings.Join(names, " "); got != tt.want || required != tt.required {
				t.Errorf("concerned by %q, required: %v; want %q, %v", got, required, tt.want, tt.required)
			}
		})
	}
}

// TestPoliciesAreCheckedOnce: the check of a policy is remembered for its generation.
func TestPoliciesAreCheckedOnce(t *testing.T) {
	r := new(reconciler)
	p := v1alpha1.TrustPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "1", Generation: 1}}
	p.Spec.Authorities = []policy.Authority{{Name: "ci", Key: &policy.Key{Data: "nonsense"}}}
	if _, err := r.usable(p, nil); !errors.Is(err, errInvalidPolicy) {
		t.Fatalf("error %v", err)
	}
	p.Spec.Authorities = []policy.Authority{{Name: "ci", Key: &policy.Key{Data: somebody}}}
	if _, err := r.usable(p, nil); !errors.Is(err, errInvalidPolicy) {
		t.Errorf("the same generation was checked again: %v", err)
	}
	p.Generation = 2
	if _, err := r.usable(p, nil); err != nil {
		t.Errorf("the next generation: %v", err)
	}
	p.Generation, p.UID = 1, "2"
	if _, err := r.usable(p, nil); err != nil {
		t.Errorf("another policy of that name: %v", err)
	}
}
