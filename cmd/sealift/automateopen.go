package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"sealift.dev/artifact"
	"sealift.dev/automator"
	"sealift.dev/automator/metrics"
	"sealift.dev/automator/registry"
	"sealift.dev/internal/giturl"
	"sealift.dev/verify"
)

// maxRepositories bounds --repositories.
const maxRepositories = 1000

// repository is an entry of --repositories.
type repository struct {
	URL         string `json:"url"`
	Branch      string `json:"branch,omitempty"`
	Config      string `json:"config,omitempty"` // a local file to read instead of the repository's sealift.yaml
	PlainHTTP   bool   `json:"plainHTTP,omitempty"`
	gitAccess   `json:",inline"`
	forgeAccess `json:",inline"`
}

// open makes the automators, which share one client for registries, and what watches them.
func (o *automateOptions) open(ctx context.Context, s streams) ([]*automator.Automator, *watcher, error) {
	repositories, err := o.listed()
	if err != nil {
		return nil, nil, err
	}
	watcher, err := o.watch.open(s, len(repositories))
	if err != nil {
		return nil, nil, err
	}
	shared, err := o.shared(ctx, watcher.metrics)
	if err != nil {
		return nil, nil, err
	}
	var automators []*automator.Automator
	for _, r := range repositories {
		a, err := o.openOne(r, shared, watcher.metrics)
		if err != nil {
			return nil, nil, err
		}
		automators = append(automators, a)
	}
	return automators, watcher, nil
}

// listed are the repositories that flags or the file name.
func (o *automateOptions) listed() ([]repository, error) {
	if o.repositories == "" {
		return []repository{{URL: o.git.repo, Branch: o.git.branch, Config: o.config, PlainHTTP: o.git.plainHTTP, gitAccess: o.git.access, forgeAccess: o.forge}}, nil
	}
	data, err := readBounded(o.repositories, maxPolicyBytes)
	if err != nil {
		return nil, fmt.Errorf("reading --repositories: %w", err)
	}
	var file struct {
		Repositories []repository `json:"repositories"`
	}
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		return nil, usage(fmt.Errorf("reading --repositories %s: %w", o.repositories, err))
	}
	if n := len(file.Repositories); n == 0 || n > maxRepositories {
		return nil, usage(fmt.Errorf("--repositories %s names %d repositories; 1 to %d are wanted", o.repositories, n, maxRepositories))
	}
	seen := map[string]bool{}
	for i, r := range file.Repositories {
		if id := r.URL + " " + r.Branch; r.URL == "" || seen[id] {
			return nil, usage(fmt.Errorf("--repositories %s: repositories[%d]: url %q is empty, or there twice with branch %q", o.repositories, i, r.URL, r.Branch))
		}
		seen[r.URL+" "+r.Branch] = true
	}
	return file.Repositories, checkShared(file.Repositories)
}

// checkShared lets what the environment holds go to one host only.
func checkShared(all []repository) error {
	for variable, own := range map[string]func(r repository) string{
		gitPasswordVar: func(r repository) string { return r.PasswordFile + r.AppKey },
		forgeTokenVar:  func(r repository) string { return r.ForgeToken },
	} {
		hosts := map[string]bool{}
		for _, r := range all {
			at, err := url.Parse(giturl.Normalize(r.URL))
			if err == nil && os.Getenv(variable) != "" && own(r) == "" {
				hosts[strings.ToLower(at.Hostname())] = true
			}
		}
		if len(hosts) > 1 {
			return usage(fmt.Errorf("--repositories: %s would go to %s; hint: name a file for those of all hosts, or of all but one: passwordFile, forgeTokenFile",
				variable, strings.Join(slices.Sorted(maps.Keys(hosts)), " and ")))
		}
	}
	return nil
}

// shared is what all repositories have in common: how registries are reached, and whom to trust.
func (o *automateOptions) shared(ctx context.Context, m *metrics.Metrics) (automator.Options, error) {
	shared := automator.Options{Author: o.author, DryRun: o.dryRun, ScanEvery: o.watch.scanEvery}
	network, err := o.network.read()
	if err != nil {
		return shared, err
	}
	transport, err := network.Transport()
	if err != nil {
		return shared, usage(fmt.Errorf("reaching registries: %w", err))
	}
	clouds, err := o.network.clouds(transport)
	if err != nil {
		return shared, err
	}
	shared.Registry, err = registry.New(registry.Options{
		Transport: counted(m, "registry", transport), PlainHTTP: o.git.plainHTTP, TokenServers: o.network.tokenServers, Clouds: clouds,
	})
	if err != nil {
		return shared, err
	}
	if m != nil {
		m.Registries(shared.Registry.Hosts)
	}
	shared.Trust, err = o.trusting(ctx)
	return shared, err
}

// trusting is what images are verified with. Policies of sealift.yaml need the verifier, too.
func (o *automateOptions) trusting(ctx context.Context) (automator.Trust, error) {
	hosts := []string{"localhost"} // registries on this machine may speak plain HTTP, for tags as for signatures
	if o.git.plainHTTP {
		hosts = nil // and so may all others
	}
	registry, err := o.network.connect(true, hosts...)
	if err != nil {
		return automator.Trust{}, err
	}
	trust := automator.Trust{Registry: registry}
	if o.trust.given() {
		trust.Verifier, trust.Policies, err = o.trust.connect(ctx)
		return trust, err
	}
	options, err := o.trust.root.options()
	if err != nil {
		return trust, err
	}
	if options.Public != nil && o.network.proxy != "" {
		transport, err := artifact.Network{Proxy: o.network.proxy}.Transport()
		if err != nil {
			return trust, usage(fmt.Errorf("reaching the TUF repository: %w", err))
		}
		options.Public.Transport = transport
	}
	trust.Verifier, err = verify.New(options)
	return trust, err
}

func (o *automateOptions) openOne(r repository, shared automator.Options, m *metrics.Metrics) (*automator.Automator, error) {
	opts := shared
	opts.Repo, opts.Branch = r.URL, r.Branch
	var err error
	if opts.Config, err = o.localConfig(r.Config); err != nil {
		return nil, err
	}
	if opts.Git, err = r.remote(r.URL, o.network.proxy, r.PlainHTTP); err != nil {
		return nil, err
	}
	if err := r.forgeAccess.open(&opts, counted(m, "forge", opts.Git.Transport)); err != nil {
		return nil, err
	}
	opts.Git.Transport = counted(m, "git", opts.Git.Transport)
	return automator.New(opts)
}

// counted lets metrics see what goes through a transport. Nil metrics see nothing.
func counted(m *metrics.Metrics, to string, transport http.RoundTripper) http.RoundTripper {
	if m == nil {
		return transport
	}
	return m.Transport(to, transport)
}

// localConfig is what stands for the repository's sealift.yaml; nil: that counts.
func (o *automateOptions) localConfig(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := readBounded(path, maxPolicyBytes)
	if err != nil {
		return nil, fmt.Errorf("reading --config: %w", err)
	}
	return data, nil
}
