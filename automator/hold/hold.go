// Package hold decides what may not be written because a person said so: by a revert, by
// hand in .sealift/images.yaml, by a marker, by closing a pull request. It is pure.
package hold
