package main

import (
	"github.com/spf13/pflag"

	"sealift.dev/artifact"
)

// registryFlags say how to speak to the registry of releases. Credentials come
// from Docker's configuration and its helpers.
type registryFlags struct {
	plainHTTP bool
}

func (r *registryFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&r.plainHTTP, "plain-http", false, "speak plain HTTP to the registry")
}

func (r *registryFlags) connect() (*artifact.Registry, error) {
	credentials, err := artifact.DockerCredentials()
	if err != nil {
		return nil, err
	}
	return artifact.NewRegistry(artifact.Options{PlainHTTP: r.plainHTTP, Credentials: credentials, UserAgent: userAgent()}), nil
}
