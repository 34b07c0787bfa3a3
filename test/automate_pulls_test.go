package test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealift.dev/test/stage"
	"sealift.dev/test/stage/forges"
)

const forgeToken = "ghs_t0ken"

// forge stands beside the yard's repository, which follows one verified image and one that is not
// signed by anybody.
func (y *yard) forge(kind forges.Kind) *forges.Server {
	y.t.Helper()
	server, err := forges.New(forges.Options{Kind: kind, Repository: y.bare(), Token: forgeToken, Labels: []string{"images"}})
	must(y.t, err)
	y.t.Cleanup(func() { server.Close() })
	y.tag("shop", "1.0.0", "1.1.0", "1.2.0")
	y.tag("tool", "1.0.0", "1.1.0")
	y.sign("ci", "shop", "1.1.0")
	y.commit("one", map[string]string{
		"sealift.yaml": y.follows("pullRequests: {provider: "+string(kind)+", labels: [images]}",
			y.semver("shop", ">=1.0.0", "trust: trust.yaml", "group: web"), y.semver("tool", ">=1.0.0", "group: tools")),
		"trust.yaml": y.trust(), "shop.yaml": y.runs("shop", "1.0.0"), "tool.yaml": y.runs("tool", "1.0.0"),
	})
	return server
}

// TestAutomatePullRequests: what people are asked to merge was verified; what they merge counts as
// written, and what they close is held.
func TestAutomatePullRequests(t *testing.T) {
	t.Parallel()
	for _, kind := range []forges.Kind{forges.GitHub, forges.GitLab, forges.Gitea} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			y := newYard(t, yardOptions{})
			server := y.forge(kind)
			y.env = []string{"SEALIFT_FORGE_TOKEN=" + forgeToken}
			main := y.tip()
			p := y.automate("--forge-url", server.URL)
			opened := server.Requests()
			if p.code != 0 || y.tip() != main || len(opened) != 2 {
				t.Fatalf("exit %d, %+v: %s%s", p.code, opened, p.out, p.problem)
			}
			web := opened[0]
			if web.Title != "Update shop to 1.1.0" || !strings.Contains(y.show("sealift/web", "shop.yaml"), "shop:1.1.0") ||
				!strings.Contains(web.Body, "shop 1.2.0") || len(web.Labels) != 1 {
				t.Errorf("%+v", web)
			}
			var report struct {
				PullRequests []struct {
					Group, Action, URL string
					Number             int
				}
			}
			must(t, json.Unmarshal([]byte(p.out), &report))
			if len(report.PullRequests) != 2 || report.PullRequests[0].Action != "opened" || report.PullRequests[0].URL == "" {
				t.Errorf("%s", p.out)
			}

			must(t, server.Merge(1))
			must(t, server.Reject(2))
			y.sign("ci", "shop", "1.2.0")
			p = y.automate("--forge-url", server.URL)
			all := server.Requests()
			if p.code != 0 || len(all) != 3 || all[2].Title != "Update shop to 1.2.0" || all[2].State != forges.Open {
				t.Errorf("exit %d, %+v: %s%s", p.code, all, p.out, p.problem)
			}
			if strings.Contains(p.out+p.problem, forgeToken) {
				t.Error("the token is told")
			}
		})
	}
}

// TestAutomateGitHubApp: an App's own tokens open Git and the API.
func TestAutomateGitHubApp(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{git: stage.GitOptions{User: "x-access-token", Password: forgeToken}})
	server := y.forge(forges.GitHub)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	file := filepath.Join(y.dir, "app.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	p := y.automate("--forge-url", server.URL, "--github-app-id", "7", "--github-app-installation", "42", "--github-app-key", file)
	if all := server.Requests(); p.code != 0 || len(all) != 2 {
		t.Errorf("exit %d, %+v: %s%s", p.code, all, p.out, p.problem)
	}
	if p := y.automate("--github-app-id", "7"); p.code != 2 || !strings.Contains(p.problem, "--github-app-key") {
		t.Errorf("exit %d: %s", p.code, p.problem)
	}
}

// TestAutomateForeignAPI: the address in sealift.yaml, which others may write, gets no token.
func TestAutomateForeignAPI(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	server := y.forge(forges.GitHub)
	y.env = []string{"SEALIFT_FORGE_TOKEN=" + forgeToken}
	y.commit("two", map[string]string{"sealift.yaml": strings.Replace(y.show("main", "sealift.yaml"), "provider: GitHub", "provider: GitHub, url: \""+server.URL+"\"", 1)})
	if p := y.automate(); p.code != 1 || !strings.Contains(p.problem, "--forge-url") || len(server.Log()) != 0 {
		t.Errorf("exit %d, asked %q: %s%s", p.code, server.Log(), p.out, p.problem)
	}
}
