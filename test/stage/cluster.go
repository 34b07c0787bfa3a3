package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
)

// AdminConfig authenticates as a member of system:masters. Each call returns a new value without
// client-side rate limits.
func (c *ControlPlane) AdminConfig() *rest.Config { return c.config("admin") }

// SealiftConfig authenticates as the user "sealift".
func (c *ControlPlane) SealiftConfig() *rest.Config { return c.config("sealift") }

func (c *ControlPlane) config(user string) *rest.Config {
	return &rest.Config{
		Host:            c.server,
		BearerToken:     c.tokens[user],
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.certs.ca},
		QPS:             -1,
	}
}

// Kubectl runs kubectl as the administrator and returns its standard output. An error carries
// its standard error.
func (c *ControlPlane) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlInput(ctx, "", args...)
}

// KubectlInput is Kubectl with a standard input, for "apply -f -".
func (c *ControlPlane) KubectlInput(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, "kubectl"), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "KUBECONFIG=" + c.Kubeconfig}
	cmd.Stdin = strings.NewReader(input)
	var output, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &problem
	if err := cmd.Run(); err != nil {
		return output.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(problem.String()))
	}
	return output.String(), nil
}

// writeKubeconfig writes JSON, which is YAML.
func (c *ControlPlane) writeKubeconfig(path, user string) error {
	ca, err := os.ReadFile(c.certs.ca)
	if err != nil {
		return err
	}
	type object = map[string]any
	data, err := json.MarshalIndent(object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"clusters":        []any{object{"name": "stage", "cluster": object{"server": c.server, "certificate-authority-data": ca}}},
		"users":           []any{object{"name": user, "user": object{"token": c.tokens[user]}}},
		"contexts":        []any{object{"name": "stage", "context": object{"cluster": "stage", "user": user}}},
		"current-context": "stage",
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// serving is nil when the API server is ready and the default namespace is there.
func (c *ControlPlane) serving(ctx context.Context) error {
	if err := c.call(ctx, http.MethodGet, "/readyz", nil, nil); err != nil {
		return err
	}
	return c.call(ctx, http.MethodGet, "/api/v1/namespaces/default", nil, nil)
}

func (c *ControlPlane) createNode(ctx context.Context) error {
	node := `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "stage",
		"annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
		"labels": {"kubernetes.io/hostname": "stage", "kubernetes.io/os": "linux", "type": "kwok"}}}`
	if err := c.call(ctx, http.MethodPost, "/api/v1/nodes", strings.NewReader(node), nil); err != nil {
		return fmt.Errorf("creating the node: %w", err)
	}
	return nil
}

// schedulable is nil when the node is Ready and without taints, and the controllers made the
// default service account, without which no pod is admitted.
func (c *ControlPlane) schedulable(ctx context.Context) error {
	var node struct {
		Spec   struct{ Taints []any }
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if err := c.call(ctx, http.MethodGet, "/api/v1/nodes/stage", nil, &node); err != nil {
		return err
	}
	ready := false
	for _, condition := range node.Status.Conditions {
		ready = ready || condition.Type == "Ready" && condition.Status == "True"
	}
	if !ready || len(node.Spec.Taints) > 0 {
		return fmt.Errorf("the node has conditions %v and taints %v", node.Status.Conditions, node.Spec.Taints)
	}
	return c.call(ctx, http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", nil, nil)
}

// call is one request as the administrator; into may be nil.
func (c *ControlPlane) call(ctx context.Context, method, path string, body io.Reader, into any) error {
	client, err := rest.HTTPClientFor(c.AdminConfig())
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
