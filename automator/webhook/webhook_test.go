package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sealift.dev/automator/webhook"
)

const (
	secret = "0123456789abcdef0123"
	other  = "another-secret-0123"
)

// post is one notification.
type post struct {
	path, body string
	header     http.Header
}

// receive sends a notification to a handler with two secrets.
func receive(t testing.TB, p post) (status int, hints []webhook.Hint) {
	t.Helper()
	handler, err := webhook.New(webhook.Options{Secrets: []string{other, secret}, Hint: func(h webhook.Hint) { hints = append(hints, h) }})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, p.path, strings.NewReader(p.body))
	request.Header.Set("Content-Type", "application/json")
	for key, values := range p.header {
		request.Header[http.CanonicalHeaderKey(key)] = values
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code, hints
}

func sign(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// signed is a header with a signature of body, beside others.
func signed(header, prefix, body string, others ...string) http.Header {
	h := http.Header{header: {prefix + sign(secret, body)}}
	for i := 0; i < len(others); i += 2 {
		h.Set(others[i], others[i+1])
	}
	return h
}

func hubSigned(event, body string) http.Header {
	return signed("X-Hub-Signature-256", "sha256=", body, "X-GitHub-Event", event)
}

func giteaSigned(event, body string) http.Header {
	return signed("X-Gitea-Signature", "", body, "X-Gitea-Event", event)
}

func bearer() http.Header { return http.Header{"Authorization": {"Bearer " + secret}} }

const (
	dockerHubPush = `{"callback_url": "https://registry.hub.docker.com/u/acme/shop/hook/1/", "push_data": {"pushed_at": 1417566161, "pusher": "ann", "tag": "1.2.0"},
		"repository": {"name": "shop", "namespace": "acme", "owner": "acme", "repo_name": "acme/shop", "status": "Active"}}`
	quayPush   = `{"name": "shop", "repository": "acme/shop", "namespace": "acme", "docker_url": "quay.io/acme/shop", "homepage": "https://quay.io/repository/acme/shop", "updated_tags": ["1.2.0", "latest"]}`
	harborPush = `{"type": "PUSH_ARTIFACT", "occur_at": 1680501893, "operator": "ann", "event_data": {"resources": [
		{"digest": "sha256:00", "tag": "1.2.0", "resource_url": "harbor.example.com/apps/shop:1.2.0"}],
		"repository": {"name": "shop", "namespace": "apps", "repo_full_name": "apps/shop", "repo_type": "private"}}}`
	harborCloudEvent = `{"specversion": "1.0", "type": "harbor.artifact.pushed", "source": "/projects/2/webhook/policies/15", "datacontenttype": "application/json",
		"data": {"resources": [{"digest": "sha256:00", "tag": "1.2.0", "resource_url": "harbor.example.com/apps/shop:1.2.0"}], "repository": {"name": "shop"}}, "operator": "ann"}`
	distributionEvents = `{"events": [
		{"id": "1", "action": "push", "target": {"mediaType": "application/octet-stream", "repository": "apps/shop", "url": "https://registry.example.com:5000/v2/apps/shop/blobs/sha256:00"}, "request": {"host": "registry.example.com:5000"}},
		{"id": "2", "action": "push", "target": {"repository": "apps/shop", "url": "https://registry.example.com:5000/v2/apps/shop/manifests/sha256:00", "tag": "1.2.0"}, "request": {"host": "registry.example.com:5000"}},
		{"id": "3", "action": "push", "target": {"repository": "apps/till", "url": "https://registry.example.com/v2/apps/till/manifests/sha256:00", "tag": "2.0.0"}},
		{"id": "4", "action": "pull", "target": {"repository": "apps/shop", "tag": "1.1.0"}, "request": {"host": "registry.example.com:5000"}}]}`
	acrPush = `{"id": "1", "timestamp": "2017-11-17T16:52:01Z", "action": "push", "target": {"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "size": 524,
		"digest": "sha256:00", "repository": "shop", "tag": "1.2.0"}, "request": {"id": "3c", "host": "acme.azurecr.io", "method": "PUT", "useragent": "docker"}}`
	packagePublished = `{"action": "published", "package": {"id": 1, "name": "shop", "namespace": "Acme", "ecosystem": "CONTAINER", "package_type": "CONTAINER",
		"package_version": {"id": 2, "version": "sha256:00", "container_metadata": {"tag": {"name": "1.2.0", "digest": "sha256:00"}}, "package_url": "ghcr.io/Acme/shop:1.2.0"}}}`
	registryPackage = `{"action": "updated", "registry_package": {"name": "tools/shop", "namespace": "acme", "package_type": "container", "package_version": {"package_url": "", "docker_metadata": []}}}`
	npmPackage      = `{"action": "published", "package": {"name": "shop", "namespace": "acme", "package_type": "npm", "package_version": {"package_url": "npm.pkg.github.com/acme/shop"}}}`
	gitHubPush      = `{"ref": "refs/heads/main", "before": "00", "after": "01", "repository": {"full_name": "acme/deploy", "clone_url": "https://github.com/acme/deploy.git"}}`
	gitLabPush      = `{"object_kind": "push", "event_name": "push", "ref": "refs/heads/main", "project": {"git_http_url": "https://gitlab.com/acme/deploy.git", "path_with_namespace": "acme/deploy"}}`
	gitLabUpdate    = `{"event_name": "repository_update", "project": {"git_http_url": "https://gitlab.com/acme/deploy.git"}, "changes": [], "refs": ["refs/heads/main", "refs/heads/next"]}`
	giteaPush       = `{"ref": "refs/heads/main", "repository": {"full_name": "acme/deploy", "clone_url": "https://gitea.example.com/acme/deploy.git"}}`
	bitbucketPush   = `{"push": {"changes": [{"new": {"type": "branch", "name": "main"}, "old": null}, {"new": null}, {"new": {"type": "tag", "name": "v1"}}]}, "repository": {"full_name": "acme/deploy", "links": {"html": {"href": "https://bitbucket.org/acme/deploy"}}}}`
	bitbucketServer = `{"eventKey": "repo:refs_changed", "changes": [{"refId": "refs/heads/main", "type": "UPDATE"}], "repository": {"slug": "deploy", "links": {"clone": [{"href": "https://git.example.com/acme/deploy.git", "name": "http"}]}}}`
	artifactoryPush = `{"domain": "docker", "event_type": "pushed", "data": {"repo_key": "apps", "path": "shop/1.2.0/manifest.json", "name": "manifest.json", "image_name": "shop", "tag": "1.2.0"}, "jpd_origin": "https://acme.jfrog.io/artifactory"}`
	giteaPackage    = `{"action": "created", "package": {"id": 1, "owner": {"id": 1, "login": "acme"}, "type": "container", "name": "shop", "version": "1.2.0", "html_url": "https://gitea.example.com/acme/-/packages/container/shop/1.2.0"}}`
)

func TestSenders(t *testing.T) {
	shop := func(host string) []webhook.Hint { return []webhook.Hint{{Image: host + "/shop", Tag: "1.2.0"}} }
	deploy := func(host string) []webhook.Hint {
		return []webhook.Hint{{Git: "https://" + host + "/acme/deploy.git", Ref: "refs/heads/main"}}
	}
	for name, test := range map[string]struct {
		post post
		want []webhook.Hint
	}{
		"Docker Hub":     {post{"/hooks/dockerhub/" + secret, dockerHubPush, nil}, shop("docker.io/acme")},
		"Quay":           {post{"/hooks/quay/" + secret, quayPush, nil}, append(shop("quay.io/acme"), webhook.Hint{Image: "quay.io/acme/shop", Tag: "latest"})},
		"Harbor":         {post{"/hooks/harbor", harborPush, http.Header{"Authorization": {secret}}}, shop("harbor.example.com/apps")},
		"Harbor, events": {post{"/hooks/harbor", harborCloudEvent, http.Header{"Authorization": {"Bearer " + secret}, "Content-Type": {"application/cloudevents+json"}}}, shop("harbor.example.com/apps")},
		"Harbor, pull":   {post{"/hooks/harbor", strings.Replace(harborPush, "PUSH", "PULL", 1), bearer()}, nil},
		"distribution": {post{"/hooks/distribution", distributionEvents, http.Header{"Authorization": {"bearer " + secret}, "Content-Type": {"application/vnd.docker.distribution.events.v1+json"}}},
			append(shop("registry.example.com:5000/apps"), webhook.Hint{Image: "registry.example.com/apps/till", Tag: "2.0.0"})},
		"ACR":                      {post{"/hooks/acr", acrPush, bearer()}, shop("acme.azurecr.io")},
		"ACR, ping":                {post{"/hooks/acr", `{"id": "1", "action": "ping"}`, bearer()}, nil},
		"Google":                   {post{"/hooks/google/" + secret, pubSub(`{"action": "INSERT", "digest": "eu-docker.pkg.dev/acme/apps/shop@sha256:00", "tag": "eu-docker.pkg.dev/acme/apps/shop:1.2.0"}`), nil}, shop("eu-docker.pkg.dev/acme/apps")},
		"Google, without a tag":    {post{"/hooks/google/" + secret, pubSub(`{"action": "INSERT", "digest": "eu-docker.pkg.dev/acme/apps/shop@sha256:00"}`), nil}, nil},
		"Google, deleted":          {post{"/hooks/google/" + secret, pubSub(`{"action": "DELETE", "tag": "eu-docker.pkg.dev/acme/apps/shop:1.2.0"}`), nil}, nil},
		"Google, no JSON inside":   {post{"/hooks/google/" + secret, pubSub("x"), nil}, nil},
		"Artifactory":              {post{"/hooks/artifactory", artifactoryPush, http.Header{"X-Jfrog-Event-Auth": {secret}}}, shop("acme.jfrog.io/apps")},
		"Bitbucket":                {post{"/hooks/bitbucket", bitbucketPush, signed("X-Hub-Signature", "sha256=", bitbucketPush)}, []webhook.Hint{{Git: "https://bitbucket.org/acme/deploy", Ref: "refs/heads/main"}}},
		"Bitbucket, server":        {post{"/hooks/bitbucket", bitbucketServer, signed("X-Hub-Signature", "sha256=", bitbucketServer)}, deploy("git.example.com")},
		"GitHub, package":          {post{"/hooks/github", packagePublished, hubSigned("package", packagePublished)}, shop("ghcr.io/acme")},
		"GitHub, registry package": {post{"/hooks/github", registryPackage, hubSigned("registry_package", registryPackage)}, []webhook.Hint{{Image: "ghcr.io/acme/tools/shop"}}},
		"GitHub, npm":              {post{"/hooks/github", npmPackage, hubSigned("package", npmPackage)}, nil},
		"GitHub, push":             {post{"/hooks/github", gitHubPush, hubSigned("push", gitHubPush)}, deploy("github.com")},
		"GitHub, ping":             {post{"/hooks/github", `{"zen": "x"}`, hubSigned("ping", `{"zen": "x"}`)}, nil},
		"GitLab":                   {post{"/hooks/gitlab", gitLabPush, http.Header{"X-Gitlab-Token": {secret}}}, deploy("gitlab.com")},
		"GitLab, system": {post{"/hooks/gitlab", gitLabUpdate, http.Header{"X-Gitlab-Token": {other}}},
			append(deploy("gitlab.com"), webhook.Hint{Git: "https://gitlab.com/acme/deploy.git", Ref: "refs/heads/next"})},
		"GitLab, issue":    {post{"/hooks/gitlab", `{"object_kind": "issue", "project": {"git_http_url": "x"}}`, http.Header{"X-Gitlab-Token": {secret}}}, nil},
		"Gitea":            {post{"/hooks/gitea", giteaPush, giteaSigned("push", giteaPush)}, deploy("gitea.example.com")},
		"Gitea, package":   {post{"/hooks/gitea", giteaPackage, giteaSigned("package", giteaPackage)}, shop("gitea.example.com/acme")},
		"Forgejo":          {post{"/hooks/forgejo", giteaPush, signed("X-Forgejo-Signature", "", giteaPush, "X-Forgejo-Event", "push")}, deploy("gitea.example.com")},
		"generic, path":    {post{"/hooks/generic/" + secret, `{"image": "registry.example.com:5000/apps/shop:1.2.0"}`, nil}, shop("registry.example.com:5000/apps")},
		"generic, header":  {post{"/hooks/generic", `{"image": "registry.example.com/apps/shop:1.2.0@sha256:00"}`, bearer()}, shop("registry.example.com/apps")},
		"generic, signed":  {post{"/hooks/generic", `{"image": "localhost/shop:1.2.0"}`, signed("X-Hub-Signature-256", "sha256=", `{"image": "localhost/shop:1.2.0"}`)}, shop("localhost")},
		"generic, no tag":  {post{"/hooks/generic", `{"image": "localhost:5000/shop"}`, bearer()}, []webhook.Hint{{Image: "localhost:5000/shop"}}},
		"generic, Git":     {post{"/hooks/generic", `{"git": "https://github.com/acme/deploy.git", "ref": "refs/heads/main"}`, bearer()}, deploy("github.com")},
		"generic, nothing": {post{"/hooks/generic", `{"hello": "there"}`, bearer()}, nil},
		"other types":      {post{"/hooks/generic", `{"image": 5}`, bearer()}, nil},
		"a list":           {post{"/hooks/generic", `["x"]`, bearer()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			status, hints := receive(t, test.post)
			slices.SortFunc(test.want, func(a, b webhook.Hint) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			slices.SortFunc(hints, func(a, b webhook.Hint) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			if status != http.StatusAccepted || !slices.Equal(hints, test.want) {
				t.Errorf("%d, %+v; want %+v", status, hints, test.want)
			}
		})
	}
}

func pubSub(change string) string {
	return `{"message": {"data": "` + base64.StdEncoding.EncodeToString([]byte(change)) + `", "messageId": "1"}, "subscription": "projects/acme/subscriptions/shop"}`
}

func TestStrangers(t *testing.T) {
	unsigned := http.Header{"X-GitHub-Event": {"push"}}
	for name, p := range map[string]post{
		"Docker Hub without a secret":           {"/hooks/dockerhub", dockerHubPush, nil},
		"Docker Hub with another":               {"/hooks/dockerhub/" + secret + "x", dockerHubPush, nil},
		"Docker Hub with a header":              {"/hooks/dockerhub", dockerHubPush, bearer()},
		"Quay with part of it":                  {"/hooks/quay/" + secret[:10], quayPush, nil},
		"Harbor without a secret":               {"/hooks/harbor", harborPush, nil},
		"Harbor with a path":                    {"/hooks/harbor/" + secret, harborPush, nil},
		"Harbor with another":                   {"/hooks/harbor", harborPush, http.Header{"Authorization": {"Bearer x"}}},
		"distribution, basic":                   {"/hooks/distribution", distributionEvents, http.Header{"Authorization": {"Basic " + secret}}},
		"GitHub without a signature":            {"/hooks/github", gitHubPush, unsigned},
		"GitHub with the secret itself":         {"/hooks/github/" + secret, gitHubPush, bearer()},
		"GitHub, another body":                  {"/hooks/github", gitHubPush, hubSigned("push", gitHubPush+" ")},
		"GitHub, another key":                   {"/hooks/github", gitHubPush, http.Header{"X-Hub-Signature-256": {"sha256=" + sign("x", gitHubPush)}}},
		"GitHub, empty key":                     {"/hooks/github", gitHubPush, http.Header{"X-Hub-Signature-256": {"sha256=" + sign("", gitHubPush)}}},
		"GitHub, no hex":                        {"/hooks/github", gitHubPush, http.Header{"X-Hub-Signature-256": {"sha256=zz"}}},
		"GitHub, empty signature":               {"/hooks/github", gitHubPush, http.Header{"X-Hub-Signature-256": {"sha256="}}},
		"GitHub, SHA-1":                         {"/hooks/github", gitHubPush, http.Header{"X-Hub-Signature": {"sha1=" + sign(secret, gitHubPush)}}},
		"GitLab without a token":                {"/hooks/gitlab", gitLabPush, nil},
		"GitLab, empty token":                   {"/hooks/gitlab", gitLabPush, http.Header{"X-Gitlab-Token": {""}}},
		"Gitea without a signature":             {"/hooks/gitea", giteaPush, http.Header{"X-Gitea-Event": {"push"}}},
		"Bitbucket without a signature":         {"/hooks/bitbucket", bitbucketPush, nil},
		"Artifactory without a token":           {"/hooks/artifactory", artifactoryPush, bearer()},
		"Google with a header":                  {"/hooks/google", pubSub("{}"), bearer()},
		"generic, wrong signature, right token": {"/hooks/generic", `{"image": "a/b"}`, http.Header{"Authorization": {"Bearer " + secret}, "X-Hub-Signature-256": {"sha256=00"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if status, hints := receive(t, p); status != http.StatusUnauthorized || len(hints) > 0 {
				t.Errorf("%d, %+v", status, hints)
			}
		})
	}
}

func TestBadNotifications(t *testing.T) {
	large := `{"image": "` + strings.Repeat("x", 1<<20) + `"}`
	for name, test := range map[string]struct {
		post post
		want int
	}{
		"unknown sender":   {post{"/hooks/elsewhere", "{}", bearer()}, http.StatusNotFound},
		"no sender":        {post{"/hooks/", "{}", bearer()}, http.StatusNotFound},
		"below the secret": {post{"/hooks/generic/" + secret + "/x", "{}", nil}, http.StatusNotFound},
		"not JSON":         {post{"/hooks/generic", "{", bearer()}, http.StatusBadRequest},
		"empty":            {post{"/hooks/generic", "", bearer()}, http.StatusBadRequest},
		"two documents":    {post{"/hooks/generic", "{}{}", bearer()}, http.StatusBadRequest},
		"deep":             {post{"/hooks/generic", strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), bearer()}, http.StatusBadRequest},
		"a form":           {post{"/hooks/generic", "payload={}", http.Header{"Authorization": {secret}, "Content-Type": {"application/x-www-form-urlencoded"}}}, http.StatusUnsupportedMediaType},
		"no type":          {post{"/hooks/generic", "{}", http.Header{"Authorization": {secret}, "Content-Type": {""}}}, http.StatusUnsupportedMediaType},
		"large":            {post{"/hooks/generic", large, bearer()}, http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if status, hints := receive(t, test.post); status != test.want || len(hints) > 0 {
				t.Errorf("%d, %+v; want %d", status, hints, test.want)
			}
		})
	}
}

// TestOverHTTP: methods, and bodies whose length nobody told.
func TestOverHTTP(t *testing.T) {
	handler, err := webhook.New(webhook.Options{Secrets: []string{secret}, Hint: func(webhook.Hint) { t.Error("a hint") }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/hooks/generic/"+secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d, Allow: %q", method, response.StatusCode, response.Header.Get("Allow"))
		}
	}
	endless := io.MultiReader(strings.NewReader(`{"image": "`), io.LimitReader(zeros{}, 4<<20))
	response, err := http.Post(server.URL+"/hooks/generic/"+secret, "application/json", endless)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body without end: %d", response.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("0"), len(p))), nil }

func TestBadOptions(t *testing.T) {
	hint := func(webhook.Hint) {}
	for want, opts := range map[string]webhook.Options{
		"need a secret; hint:":       {Hint: hint},
		"16 bytes at least; hint:":   {Hint: hint, Secrets: []string{secret, "short"}},
		"letters, digits and -._~":   {Hint: hint, Secrets: []string{"0123456789abcdef/x"}},
		"nobody listens":             {Secrets: []string{secret}},
		"16 bytes at least; hint: o": {Hint: hint, Secrets: []string{""}},
	} {
		if _, err := webhook.New(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestTooMuch: a payload with many hints, and hints that cannot be printed.
func TestTooMuch(t *testing.T) {
	var tags []string
	for i := range 1000 {
		tags = append(tags, fmt.Sprintf(`"%d"`, i))
	}
	body := `{"docker_url": "quay.io/acme/shop", "updated_tags": [` + strings.Join(tags, ",") + `]}`
	if _, hints := receive(t, post{"/hooks/quay/" + secret, body, nil}); len(hints) != 100 {
		t.Errorf("%d hints", len(hints))
	}
	for _, image := range []string{`a b`, `a\u001b[31m`, `a\n`, `ä/b`, strings.Repeat("x", 600), ``} {
		if _, hints := receive(t, post{"/hooks/generic", `{"image": "` + image + `"}`, bearer()}); len(hints) != 0 {
			t.Errorf("%q: %+v", image, hints)
		}
	}
}

func allSenders() []string {
	return []string{"acr", "artifactory", "bitbucket", "distribution", "dockerhub", "forgejo", "generic", "gitea", "github", "gitlab", "google", "harbor", "quay"}
}

// TestPage: the page names each sender, and those alone.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/automation.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, path := range regexp.MustCompile("`/hooks/([a-z]+)").FindAllStringSubmatch(string(page), -1) {
		named[path[1]] = true
	}
	for name := range named {
		if status, _ := receive(t, post{"/hooks/" + name, "{}", nil}); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	for _, name := range allSenders() {
		if !named[name] {
			t.Errorf("the page lacks %s", name)
		}
	}
}
