package stage

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// startLimit is how long the control plane may take until it is ready.
const startLimit = 2 * time.Minute

// ControlPlaneParts are the parts that StartControlPlane and Kubectl need.
func ControlPlaneParts() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"}
}

// ControlPlane is a Kubernetes cluster without machines: etcd, API server, controller manager,
// scheduler, and kwok, which plays the one node and its kubelet, so that pods become Ready.
type ControlPlane struct {
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// SealiftKubeconfig is the path of the kubeconfig of the user "sealift", who is in no group and
	// may do nothing until RBAC says so.
	SealiftKubeconfig string
	// Bin is the folder of the programs, kubectl among them.
	Bin string

	dir       string
	server    string
	certs     certificates
	tokens    map[string]string // by user
	group     *group
	processes []*process // in the order of their start
}

// StartControlPlane starts the programs of the folder bin with their data, logs and kubeconfigs in
// dir, on free ports of 127.0.0.1, and returns when a Deployment made now would become Ready.
// An error ends with the log's tail of the program that failed.
func StartControlPlane(ctx context.Context, bin, dir string) (*ControlPlane, error) {
	c := &ControlPlane{Bin: bin, dir: dir, tokens: map[string]string{"admin": crand.Text(), "sealift": crand.Text()}}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, fmt.Errorf("starting the control plane in %s: %w", dir, err)
	}
	return c, nil
}

// Stop ends the programs in the reverse order of their start: the API server hangs without etcd.
func (c *ControlPlane) Stop() {
	for _, p := range slices.Backward(c.processes) {
		p.stop()
	}
	c.processes = nil
	if c.group != nil {
		c.group.close()
		c.group = nil
	}
}

// Processes are the ids of the programs that run, by the programs' names.
func (c *ControlPlane) Processes() map[string]int {
	ids := map[string]int{}
	for _, p := range c.processes {
		ids[p.name] = p.cmd.Process.Pid
	}
	return ids
}

func (c *ControlPlane) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	client, peer, secure := ports[0], ports[1], ports[2]
	c.server = "https://" + secure
	if err := c.write(); err != nil {
		return err
	}
	if c.group, err = newGroup(); err != nil {
		return err
	}
	if err := c.run(etcdArgs(client, peer)); err != nil {
		return err
	}
	if err := c.run(c.apiServerArgs("http://"+client, secure)); err != nil {
		return err
	}
	if err := until(ctx, c.processes, "the API server is ready", c.serving); err != nil {
		return err
	}
	for _, args := range [][]string{c.controllerManagerArgs(), c.schedulerArgs(), c.kwokArgs()} {
		if err := c.run(args); err != nil {
			return err
		}
	}
	if err := c.createNode(ctx); err != nil {
		return err
	}
	return until(ctx, c.processes, "pods can be scheduled", c.schedulable)
}

// run starts one program, given as its name and arguments.
func (c *ControlPlane) run(args []string) error {
	p, err := c.group.start(c.dir, filepath.Join(c.Bin, args[0]), args[1:]...)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

func etcdArgs(client, peer string) []string {
	return []string{
		"etcd", "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=http://" + client, "--advertise-client-urls=http://" + client,
		"--listen-peer-urls=http://" + peer,
	}
}

func (c *ControlPlane) apiServerArgs(etcd, secure string) []string {
	host, port, _ := strings.Cut(secure, ":")
	return []string{
		"kube-apiserver", "--etcd-servers=" + etcd, "--bind-address=" + host, "--secure-port=" + port,
		"--tls-cert-file=" + c.certs.cert, "--tls-private-key-file=" + c.certs.key, "--cert-dir=certs",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.certs.account, "--service-account-signing-key-file=" + c.certs.account,
		"--token-auth-file=tokens.csv", "--authorization-mode=RBAC", "--allow-privileged",
		"--service-cluster-ip-range=10.0.0.0/12",
		"--endpoint-reconciler-type=none", // a loopback address cannot be an endpoint
		"--audit-policy-file=audit.yaml", "--audit-log-path=audit.log",
	}
}

func (c *ControlPlane) controllerManagerArgs() []string {
	return []string{
		"kube-controller-manager", "--kubeconfig=" + c.Kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--service-account-private-key-file=" + c.certs.account, "--root-ca-file=" + c.certs.ca,
		"--kube-api-qps=500", "--kube-api-burst=1000",
	}
}

func (c *ControlPlane) schedulerArgs() []string {
	return []string{
		"kube-scheduler", "--kubeconfig=" + c.Kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--kube-api-qps=500", "--kube-api-burst=1000",
	}
}

func (c *ControlPlane) kwokArgs() []string {
	return []string{
		"kwok", "--kubeconfig=" + c.Kubeconfig, "--config=" + filepath.Join(c.Bin, "stages.yaml"),
		"--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
	}
}

// write makes the files that the programs read.
func (c *ControlPlane) write() (err error) {
	if c.certs, err = newCertificates(c.dir); err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	c.Kubeconfig = filepath.Join(c.dir, "kubeconfig")
	c.SealiftKubeconfig = filepath.Join(c.dir, "sealift.kubeconfig")
	tokens := fmt.Sprintf("%s,admin,admin,\"system:masters\"\n%s,sealift,sealift\n", c.tokens["admin"], c.tokens["sealift"])
	return errors.Join(
		c.writeKubeconfig(c.Kubeconfig, "admin"),
		c.writeKubeconfig(c.SealiftKubeconfig, "sealift"),
		os.WriteFile(filepath.Join(c.dir, "tokens.csv"), []byte(tokens), 0o600),
		os.WriteFile(filepath.Join(c.dir, "audit.yaml"), []byte(auditPolicy), 0o600),
	)
}

// freePorts returns addresses of 127.0.0.1 that nobody listens on. The ports lie below those that
// kernels hand out by themselves, so that none is taken by a passing connection before its program
// listens.
func freePorts(count int) ([]string, error) {
	const first, last, attempts = 20000, 30000, 100
	var addresses []string
	for range attempts {
		if len(addresses) == count {
			return addresses, nil
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first)))
		if err != nil {
			continue
		}
		defer listener.Close() // all at the end, so that no port comes twice
		addresses = append(addresses, listener.Addr().String())
	}
	return nil, fmt.Errorf("finding %d free ports between %d and %d: none after %d attempts", count, first, last, attempts)
}
