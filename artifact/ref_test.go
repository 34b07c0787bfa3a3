package artifact

import "testing"

// TestOneRegistryHasOneSpelling: a policy's pattern is compared with the host as
// it is written, so it must be written in one way.
func TestOneRegistryHasOneSpelling(t *testing.T) {
	for written, want := range map[string]string{
		"oci://registry.example.com/deploy/shop":      "registry.example.com/deploy/shop",
		"oci://Registry.EXAMPLE.com/deploy/shop":      "registry.example.com/deploy/shop",
		"oci://registry.example.com:443/deploy/shop":  "registry.example.com/deploy/shop",
		"oci://registry.example.com:80/deploy/shop":   "registry.example.com/deploy/shop",
		"oci://registry.example.com./deploy/shop":     "registry.example.com/deploy/shop",
		"oci://registry.example.com.:443/deploy/shop": "registry.example.com/deploy/shop",
		"oci://registry.example.com:8443/deploy/shop": "registry.example.com:8443/deploy/shop",
		"oci://127.0.0.1:5000/deploy/shop":            "127.0.0.1:5000/deploy/shop",
		"oci://[::1]:5000/deploy/shop":                "[::1]:5000/deploy/shop",
	} {
		got, err := ParseRepository(written)
		if err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", written, got, err, want)
		}
	}
	for _, written := range []string{"oci://../deploy/shop", "https://example.com/shop", "oci://example.com/shop:tag", "shop"} {
		if got, err := ParseRepository(written); err == nil {
			t.Errorf("%s was accepted as %s", written, got)
		}
	}
}
