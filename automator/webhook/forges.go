package webhook

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// pushed is a push to a repository of GitHub, Gitea or Forgejo.
type pushed struct {
	Ref        string `json:"ref"`
	Repository struct {
		CloneURL string `json:"clone_url"`
	} `json:"repository"`
}

func pushHints(body []byte) ([]Hint, error) {
	var p pushed
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	return []Hint{{Git: p.Repository.CloneURL, Ref: p.Ref}}, nil
}

// gitHubPackage is a version of a package. The two events for it call it by their own names.
type gitHubPackage struct {
	Name        string `json:"name"`
	Namespace   string `json:"namespace"`
	PackageType string `json:"package_type"`
	Version     struct {
		PackageURL string `json:"package_url"`
	} `json:"package_version"`
}

func gitHub(header http.Header, body []byte) ([]Hint, error) {
	switch header.Get("X-GitHub-Event") {
	case "push":
		return pushHints(body)
	case "package", "registry_package":
	default:
		return nil, nil
	}
	var p struct {
		Package         *gitHubPackage `json:"package"`
		RegistryPackage *gitHubPackage `json:"registry_package"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	found := p.Package
	if found == nil {
		found = p.RegistryPackage
	}
	if found == nil || !strings.EqualFold(found.PackageType, "container") && !strings.EqualFold(found.PackageType, "docker") {
		return nil, nil
	}
	hint := imageHint(found.Version.PackageURL)
	if hint.Image == "" && found.Namespace != "" && found.Name != "" {
		hint.Image = "ghcr.io/" + found.Namespace + "/" + found.Name
	}
	return []Hint{hint}, nil
}

// gitLab reads pushes, as projects and system hooks tell them. Its registry sends what
// distribution's does.
func gitLab(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		ObjectKind string   `json:"object_kind"`
		EventName  string   `json:"event_name"`
		Ref        string   `json:"ref"`
		Refs       []string `json:"refs"`
		Project    struct {
			GitHTTPURL string `json:"git_http_url"`
		} `json:"project"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	switch {
	case p.ObjectKind == "push", p.EventName == "push":
		return []Hint{{Git: p.Project.GitHTTPURL, Ref: p.Ref}}, nil
	case p.EventName == "repository_update":
		if len(p.Refs) == 0 {
			return []Hint{{Git: p.Project.GitHTTPURL}}, nil
		}
		var hints []Hint
		for _, ref := range p.Refs {
			hints = append(hints, Hint{Git: p.Project.GitHTTPURL, Ref: ref})
		}
		return hints, nil
	}
	return nil, nil
}

// gitea reads pushes, and packages, which are on the server's own host.
func gitea(header http.Header, body []byte) ([]Hint, error) {
	switch first(header, []string{"X-Forgejo-Event", "X-Gitea-Event"}) {
	case "push":
		return pushHints(body)
	case "package":
	default:
		return nil, nil
	}
	var p struct {
		Action  string `json:"action"`
		Package struct {
			Owner struct {
				Login string `json:"login"`
			} `json:"owner"`
			Name    string `json:"name"`
			Version string `json:"version"`
			Type    string `json:"type"`
			HTMLURL string `json:"html_url"`
		} `json:"package"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	at, err := url.Parse(p.Package.HTMLURL)
	if err != nil || at.Host == "" || p.Action != "created" || p.Package.Type != "container" ||
		p.Package.Owner.Login == "" || p.Package.Name == "" || strings.Contains(p.Package.Version, ":") {
		return nil, nil
	}
	return []Hint{{Image: at.Host + "/" + p.Package.Owner.Login + "/" + p.Package.Name, Tag: p.Package.Version}}, nil
}

// bitbucket reads pushes, as the cloud and the server tell them.
func bitbucket(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		Push struct {
			Changes []struct {
				New struct {
					Type string `json:"type"`
					Name string `json:"name"`
				} `json:"new"`
			} `json:"changes"`
		} `json:"push"` // the cloud's
		Changes []struct {
			RefID string `json:"refId"`
		} `json:"changes"` // the server's
		Repository struct {
			Links struct {
				HTML struct {
					Href string `json:"href"`
				} `json:"html"`
				Clone []struct {
					Href string `json:"href"`
				} `json:"clone"`
			} `json:"links"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	addresses := []string{p.Repository.Links.HTML.Href}
	for _, clone := range p.Repository.Links.Clone {
		addresses = append(addresses, clone.Href)
	}
	var refs []string
	for _, change := range p.Push.Changes {
		if change.New.Type == "branch" {
			refs = append(refs, "refs/heads/"+change.New.Name)
		}
	}
	for _, change := range p.Changes {
		refs = append(refs, change.RefID)
	}
	var hints []Hint
	for _, address := range addresses {
		for _, ref := range refs {
			if address != "" {
				hints = append(hints, Hint{Git: address, Ref: ref})
			}
		}
	}
	return hints, nil
}
