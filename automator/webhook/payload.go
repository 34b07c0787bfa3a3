package webhook

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Limits of what is taken from one notification.
const (
	maxHints = 100
	maxName  = 512 // bytes of a repository, a tag, a URL
)

var errNotJSON = errors.New("the payload is not JSON")

// hintsOf reads a payload. What is no event of interest has no hints.
func hintsOf(from sender, header http.Header, body []byte) ([]Hint, error) {
	if !json.Valid(body) {
		return nil, errNotJSON
	}
	hints, err := from.hints(header, body)
	if err != nil {
		return nil, err
	}
	var kept []Hint
	seen := map[Hint]bool{}
	for _, hint := range hints {
		hint.Image = strings.ToLower(hint.Image)
		if len(kept) < maxHints && hint.plain() && !seen[hint] {
			seen[hint] = true
			kept = append(kept, hint)
		}
	}
	return kept, nil
}

// plain says that the hint is of something, and can be printed.
func (h Hint) plain() bool {
	for _, part := range []string{h.Image, h.Tag, h.Git, h.Ref} {
		if len(part) > maxName || strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
	}
	return h.Image != "" || h.Git != ""
}

// imageHint splits REPOSITORY[:TAG][@DIGEST].
func imageHint(reference string) Hint {
	repository, _, _ := strings.Cut(reference, "@")
	if colon := strings.LastIndexByte(repository, ':'); colon > strings.LastIndexByte(repository, '/') {
		return Hint{Image: repository[:colon], Tag: repository[colon+1:]}
	}
	return Hint{Image: repository}
}

func dockerHub(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			RepoName string `json:"repo_name"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Repository.RepoName == "" {
		return nil, err
	}
	return []Hint{{Image: "docker.io/" + p.Repository.RepoName, Tag: p.PushData.Tag}}, nil
}

func quay(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		DockerURL   string   `json:"docker_url"`
		UpdatedTags []string `json:"updated_tags"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.DockerURL == "" {
		return nil, err
	}
	return forTags(p.DockerURL, p.UpdatedTags), nil
}

func forTags(image string, tags []string) []Hint {
	if len(tags) == 0 {
		return []Hint{{Image: image}}
	}
	var hints []Hint
	for _, tag := range tags {
		hints = append(hints, Hint{Image: image, Tag: tag})
	}
	return hints
}

// harborEvent is what both of Harbor's formats hold.
type harborEvent struct {
	Resources []struct {
		ResourceURL string `json:"resource_url"`
	} `json:"resources"`
}

func harbor(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		Type      string      `json:"type"`
		EventData harborEvent `json:"event_data"` // Harbor's own format
		Data      harborEvent `json:"data"`       // CloudEvents
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	if p.Type != "PUSH_ARTIFACT" && p.Type != "harbor.artifact.pushed" {
		return nil, nil
	}
	var hints []Hint
	for _, resource := range append(p.EventData.Resources, p.Data.Resources...) {
		hints = append(hints, imageHint(resource.ResourceURL))
	}
	return hints, nil
}

// event is one of distribution's, and all that Azure's registry sends.
type event struct {
	Action string `json:"action"`
	Target struct {
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
		URL        string `json:"url"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

// hint has no image where a blob, or a manifest without a tag, was pushed.
func (e event) hint() Hint {
	host := e.Request.Host
	if at, err := url.Parse(e.Target.URL); host == "" && err == nil {
		host = at.Host
	}
	if e.Action != "push" || e.Target.Tag == "" || e.Target.Repository == "" || host == "" {
		return Hint{}
	}
	return Hint{Image: host + "/" + e.Target.Repository, Tag: e.Target.Tag}
}

func distribution(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		Events []event `json:"events"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	var hints []Hint
	for _, e := range p.Events {
		hints = append(hints, e.hint())
	}
	return hints, nil
}

func acr(_ http.Header, body []byte) ([]Hint, error) {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	return []Hint{e.hint()}, nil
}

// google reads what Artifact Registry publishes under the topic gcr, pushed by Pub/Sub.
func google(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		Message struct {
			Data []byte `json:"data"` // base64
		} `json:"message"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	var change struct {
		Action string `json:"action"`
		Tag    string `json:"tag"` // REPOSITORY:TAG
	}
	if err := json.Unmarshal(p.Message.Data, &change); err != nil || change.Action != "INSERT" {
		return nil, err
	}
	return []Hint{imageHint(change.Tag)}, nil
}

// artifactory names a host only by where the event comes from.
func artifactory(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		Domain    string `json:"domain"`
		EventType string `json:"event_type"`
		Origin    string `json:"jpd_origin"`
		Data      struct {
			RepoKey   string `json:"repo_key"`
			ImageName string `json:"image_name"`
			Tag       string `json:"tag"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	at, err := url.Parse(p.Origin)
	if err != nil || at.Host == "" || p.Domain != "docker" || p.EventType != "pushed" || p.Data.RepoKey == "" || p.Data.ImageName == "" {
		return nil, nil
	}
	return []Hint{{Image: at.Host + "/" + p.Data.RepoKey + "/" + p.Data.ImageName, Tag: p.Data.Tag}}, nil
}

func generic(_ http.Header, body []byte) ([]Hint, error) {
	var p struct {
		Image string `json:"image"` // REPOSITORY[:TAG]
		Git   string `json:"git"`   // URL
		Ref   string `json:"ref"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	var hints []Hint
	if p.Image != "" {
		hints = append(hints, imageHint(p.Image))
	}
	if p.Git != "" {
		hints = append(hints, Hint{Git: p.Git, Ref: p.Ref})
	}
	return hints, nil
}
