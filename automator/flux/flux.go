// Package flux reads Flux's image automation documents as files: ImageRepository, ImagePolicy
// and ImageUpdateAutomation become what sealift.yaml would say.
package flux
