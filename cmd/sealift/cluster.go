package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// defaultNamespace is where `sealift install` puts the synchronizer.
const defaultNamespace = "sealift-system"

// clusterFlags say which cluster is meant, as kubectl's do.
type clusterFlags struct {
	kubeconfig, context, namespace, as string
}

func (c *clusterFlags) register(flags *pflag.FlagSet, namespaceUsage string) {
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "path to the kubeconfig (default $KUBECONFIG or ~/.kube/config; inside a cluster its service account)")
	flags.StringVar(&c.context, "context", "", "the kubeconfig's context to use")
	flags.StringVarP(&c.namespace, "namespace", "n", "", namespaceUsage)
}

// registerAs adds the flag for acting as somebody else.
func (c *clusterFlags) registerAs(flags *pflag.FlagSet) {
	flags.StringVar(&c.as, "as", "", "act as this user, such as system:serviceaccount:NAMESPACE:NAME")
}

// connect reads the kubeconfig, or the service account where there is none.
func (c *clusterFlags) connect() (*rest.Config, error) {
	config, err := c.loader().ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("finding the cluster: there is no kubeconfig, and this is no pod; hint: set --kubeconfig or KUBECONFIG")
	}
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w; hint: set --kubeconfig and --context", err)
	}
	config.UserAgent = userAgent()
	return config, nil
}

func (c *clusterFlags) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context, AuthInfo: api.AuthInfo{Impersonate: c.as}})
}

// contextNamespace is the flag, or what the kubeconfig's context says.
func (c *clusterFlags) contextNamespace() (string, error) {
	if c.namespace != "" {
		return c.namespace, nil
	}
	namespace, _, err := c.loader().Namespace()
	if err != nil {
		return "", fmt.Errorf("finding the namespace: %w", err)
	}
	return namespace, nil
}

// ownNamespace is the flag, the pod's namespace, or sealift-system.
func (c *clusterFlags) ownNamespace() string {
	if c.namespace != "" {
		return c.namespace
	}
	mounted, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if own := strings.TrimSpace(string(mounted)); err == nil && own != "" {
		return own
	}
	return defaultNamespace
}
