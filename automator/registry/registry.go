// Package registry asks registries about container images: which tags there are, what digest
// a tag has, which platforms are behind it. It is the only package that uses
// go-containerregistry, and bounds what it reads.
package registry
