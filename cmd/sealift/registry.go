package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/pflag"

	"sealift.dev/artifact"
	"sealift.dev/internal/cloud"
)

// maxPEM bounds the files of certificates and keys.
const maxPEM = 1 << 20

// registryFlags say how to speak to the registry of releases. Credentials come
// from Docker's configuration and its helpers.
type registryFlags struct {
	plainHTTP bool
	network   networkFlags
}

func (r *registryFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&r.plainHTTP, "plain-http", false, "speak plain HTTP to the registry")
	r.network.register(flags)
}

// connect makes a client. Where hosts are given, --plain-http concerns those, and
// this machine, alone: images may come from elsewhere.
func (r *registryFlags) connect(hosts ...string) (*artifact.Registry, error) {
	return r.network.connect(r.plainHTTP, hosts...)
}

// networkFlags say how to reach registries.
type networkFlags struct {
	ca, cert, key  string
	proxy          string
	tokenServers   []string
	cloudNames     []string
	refusesPrivate bool
}

func (n *networkFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&n.ca, "registry-ca", "", "file with certificate authorities (PEM) to trust beside the system's")
	flags.StringVar(&n.cert, "registry-cert", "", "file with a client certificate (PEM) for the registry")
	flags.StringVar(&n.key, "registry-key", "", "file with the client certificate's key (PEM)")
	flags.StringVar(&n.proxy, "proxy", "", `URL of a proxy, or "`+artifact.NoProxy+`" (default what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say)`)
	flags.StringArrayVar(&n.tokenServers, "token-server", nil, "HOST[:PORT] that may be asked for tokens although it is outside the registry's domain; repeat it for several")
	flags.StringArrayVar(&n.cloudNames, "registry-cloud", nil, "cloud to ask for a password of its own registries where Docker's configuration has none: aws, azure, gcp; repeat it for several")
	flags.BoolVar(&n.refusesPrivate, "no-private-addresses", false, "dial no private, loopback or other special address")
}

func (n *networkFlags) connect(plainHTTP bool, plainHosts ...string) (*artifact.Registry, error) {
	credentials, err := artifact.DockerCredentials()
	if err != nil {
		return nil, err
	}
	network, err := n.read()
	if err != nil {
		return nil, err
	}
	transport, err := network.Transport()
	if err != nil {
		return nil, usage(fmt.Errorf("reaching the registry: %w", err))
	}
	clouds, err := n.clouds(transport)
	if err != nil {
		return nil, err
	}
	return artifact.NewRegistry(artifact.Options{
		PlainHTTP:    plainHTTP,
		PlainHosts:   plainHosts,
		Credentials:  withClouds(credentials, clouds),
		Transport:    transport,
		TokenServers: n.tokenServers,
		UserAgent:    userAgent(),
	}), nil
}

// clouds are those of the flags; none where there are none.
func (n *networkFlags) clouds(transport http.RoundTripper) (*cloud.Clouds, error) {
	clouds, err := cloud.New(transport, n.cloudNames...)
	if err != nil {
		return nil, usage(fmt.Errorf("--registry-cloud: %w", err))
	}
	return clouds, nil
}

// withClouds asks clouds where Docker's configuration knows nothing.
func withClouds(docker artifact.Credentials, clouds *cloud.Clouds) artifact.Credentials {
	return func(ctx context.Context, host string) (artifact.Credential, error) {
		known, err := docker(ctx, host)
		if err != nil || known != (artifact.Credential{}) {
			return known, err
		}
		found, _, err := clouds.Login(ctx, host)
		return artifact.Credential{Username: found.Username, Password: found.Password}, err
	}
}

func (n *networkFlags) read() (artifact.Network, error) {
	for _, host := range n.tokenServers {
		if at, err := url.Parse("//" + host); err != nil || host == "" || at.Host != host {
			return artifact.Network{}, usage(fmt.Errorf("--token-server %q is not HOST[:PORT]", host))
		}
	}
	network := artifact.Network{Proxy: n.proxy, RefusePrivate: n.refusesPrivate}
	for _, file := range []struct {
		flag, path string
		to         *[]byte
	}{{"--registry-ca", n.ca, &network.CA}, {"--registry-cert", n.cert, &network.ClientCert}, {"--registry-key", n.key, &network.ClientKey}} {
		if file.path == "" {
			continue
		}
		data, err := readBounded(file.path, maxPEM)
		if err != nil {
			return artifact.Network{}, fmt.Errorf("%s: %w", file.flag, err)
		}
		*file.to = data
	}
	return network, nil
}
