// Package manifests holds what is installed in a cluster, as kustomizations.
package manifests

import "embed"

// Files holds a folder per component: crds, rbac, sync, automate, webhook.
//
//go:embed crds rbac sync automate webhook kustomization.yaml
var Files embed.FS
