// Package manifests holds what is installed in a cluster, as files.
package manifests

import "embed"

// Files are kustomizations: "crds", "sync" and "automate".
//
//go:embed crds sync automate kustomization.yaml
var Files embed.FS
