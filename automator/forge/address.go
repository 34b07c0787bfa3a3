package forge

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"sealift.dev/internal/giturl"
	"sealift.dev/internal/httpx"
	"sealift.dev/internal/text"
)

// address is where a repository lies on its forge.
type address struct {
	api   *url.URL // with a slash at its end
	owner string   // on GitLab with subgroups
	name  string
}

func (a address) path() string { return a.owner + "/" + a.name }

// Known says whether name is a provider of pull requests.
func Known(name string) bool {
	return slices.ContainsFunc([]string{GitHub, GitLab, Gitea, Forgejo}, func(p string) bool { return strings.EqualFold(p, name) })
}

// locate reads owner and name from the Git URL, and finds the API.
func locate(o Options) (address, error) {
	if !Known(o.Provider) {
		return address{}, fmt.Errorf("provider %q is unknown; hint: GitHub, GitLab, Gitea or Forgejo", text.Line(o.Provider, 50))
	}
	repo, err := url.Parse(giturl.Normalize(o.Repo))
	if err != nil || repo.Hostname() == "" {
		return address{}, errors.New("the repository's URL has no host; hint: write https://HOST/OWNER/NAME or git@HOST:OWNER/NAME")
	}
	api, err := apiOf(o, repo)
	if err != nil {
		return address{}, err
	}
	inside := strings.Trim(repo.Path, "/")
	// A forge below a folder of its host has that folder in its Git URLs, too.
	if root := strings.Trim(rootOf(api.Path), "/"); o.URL != "" && root != "" && api.Hostname() == repo.Hostname() {
		inside = strings.TrimPrefix(inside, root+"/")
	}
	owner, name := path.Split(inside)
	owner = strings.Trim(owner, "/")
	switch {
	case owner == "" || name == "":
		return address{}, errors.New("the repository's URL does not end in OWNER/NAME")
	case strings.Contains(owner, "/") && !strings.EqualFold(o.Provider, GitLab):
		return address{}, fmt.Errorf("the repository's URL ends in %s, but OWNER/NAME is wanted; hint: only GitLab has groups in groups, and a forge below a folder needs its url", text.Line(inside, 200))
	}
	return address{api: api, owner: owner, name: name}, nil
}

// rootOf is the folder that a forge lies in, from the path of its API.
func rootOf(path string) string {
	path = strings.TrimSuffix(path, "/")
	for _, end := range []string{"/api/v3", "/api/v4", "/api/v1", "/api"} {
		if root, ok := strings.CutSuffix(path, end); ok {
			return root
		}
	}
	return path
}

func apiOf(o Options, repo *url.URL) (*url.URL, error) {
	given := o.URL
	if given == "" {
		given = usualAPI(o.Provider, repo)
	}
	api, err := url.Parse(given)
	switch {
	case err != nil:
		return nil, errors.New("the API's URL does not parse") // it may hold a password, which the cause repeats
	case api.User != nil:
		return nil, fmt.Errorf("the API's URL %s holds credentials; hint: they go in the environment", api.Redacted())
	case api.Scheme != "https" && api.Scheme != "http" || api.Host == "" || api.RawQuery != "" || api.Fragment != "":
		return nil, fmt.Errorf("the API's URL %q has no acceptable form; hint: https://HOST", text.Line(given, 200))
	case api.Scheme == "http" && !o.PlainHTTP && !httpx.IsLoopback(api.Hostname()):
		return nil, fmt.Errorf("the API at %s is not encrypted; hint: use https, or allow plain HTTP", api.Host)
	case o.Confined && o.URL != "" && !belongs(api, repo):
		return nil, fmt.Errorf("the API at %s is not on the repository's host, %s, and would get its token; hint: if that is right, name it with --forge-url", api.Host, repo.Host)
	}
	api.Path = strings.TrimRight(api.Path, "/") + "/"
	if strings.EqualFold(o.Provider, GitHub) && !strings.HasPrefix(api.Host, "api.") && !strings.HasSuffix(api.Path, "/api/v3/") {
		api.Path += "api/v3/"
	}
	return api, nil
}

// belongs says that an API is on the repository's host: at the same port, or by HTTPS at its own.
func belongs(api, repo *url.URL) bool {
	host := strings.ToLower(repo.Hostname())
	name := strings.ToLower(api.Hostname())
	return strings.EqualFold(api.Host, repo.Host) && api.Scheme == repo.Scheme ||
		api.Scheme == "https" && (api.Port() == "" || api.Port() == "443") && (name == host || host == "github.com" && name == "api.github.com")
}

// usualAPI is where a forge has its API if nobody says otherwise. The port of a Git URL
// counts where it is HTTP's.
func usualAPI(provider string, repo *url.URL) string {
	scheme, host := "https", repo.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if repo.Scheme == "http" || repo.Scheme == "https" {
		scheme, host = repo.Scheme, repo.Host
	}
	if strings.EqualFold(provider, GitHub) && strings.EqualFold(strings.TrimPrefix(repo.Hostname(), "ssh."), "github.com") {
		return "https://api.github.com"
	}
	if strings.EqualFold(provider, GitLab) && strings.EqualFold(repo.Hostname(), "altssh.gitlab.com") {
		return "https://gitlab.com"
	}
	return scheme + "://" + host
}

// redacted is a Git URL without what it may hold of credentials.
func redacted(repo string) string { return giturl.Normalize(repo) }
