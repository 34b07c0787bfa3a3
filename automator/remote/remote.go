// Package remote reads and writes one Git repository on a server: refs, trees, the blobs that
// are needed and no others, commits made of objects, and pushes that carry the old tip.
package remote
