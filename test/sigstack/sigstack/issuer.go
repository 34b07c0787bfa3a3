package main

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/sigstore/fulcio/pkg/config"
)

// audience is what Fulcio wants tokens to be for.
const audience = "sigstore"

// issuer is a source of identity tokens, as Fulcio knows it.
type issuer struct {
	kind   config.IssuerType
	claims map[string]any // of a token for which nothing else is asked
}

// known are the issuers, by the path below which each lives.
func known() map[string]issuer {
	const commit = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	const workflow = "acme/deploy/.github/workflows/publish.yml@refs/heads/main"
	return map[string]issuer{
		"github": {config.IssuerTypeGithubWorkflow, map[string]any{
			"sub": "repo:acme/deploy:ref:refs/heads/main", "event_name": "push", "sha": commit, "ref": "refs/heads/main",
			"workflow": "publish", "workflow_ref": workflow, "workflow_sha": commit,
			"job_workflow_ref": workflow, "job_workflow_sha": commit,
			"repository": "acme/deploy", "repository_id": "1", "repository_visibility": "public",
			"repository_owner": "acme", "repository_owner_id": "2",
			"run_id": "7", "run_attempt": "1", "runner_environment": "github-hosted",
		}},
		"gitlab": {config.IssuerTypeGitLabPipeline, map[string]any{
			"sub": "project_path:acme/deploy:ref_type:branch:ref:main", "pipeline_source": "push", "pipeline_id": "7", "job_id": "8",
			"project_path": "acme/deploy", "project_id": "1", "project_visibility": "public",
			"namespace_path": "acme", "namespace_id": "2", "ref": "main", "ref_type": "branch", "sha": commit,
			"ci_config_ref_uri": "gitlab.com/acme/deploy//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": commit,
			"runner_id": 9, "runner_environment": "gitlab-hosted",
		}},
		"kubernetes": {config.IssuerTypeKubernetes, map[string]any{
			"sub": "system:serviceaccount:ci:publisher",
			"kubernetes.io": map[string]any{
				"namespace": "ci", "serviceaccount": map[string]any{"name": "publisher", "uid": "1"},
				"pod": map[string]any{"name": "publisher", "uid": "2"},
			},
		}},
		"email": {config.IssuerTypeEmail, map[string]any{"sub": "1", "email": "ann@example.com", "email_verified": true}},
	}
}

// issuers are one server with one key for all of them.
type issuers struct {
	url string
	key *ecdsa.PrivateKey
}

func startIssuers() (*issuers, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	s := &issuers{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}/.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /keys", s.keys)
	mux.HandleFunc("GET /token", s.token)
	mux.HandleFunc("POST /token", s.token)
	s.url, err = serve(mux)
	return s, err
}

// of returns the name of an issuer in tokens and certificates.
func (s *issuers) of(name string) string { return s.url + "/" + name }

func (s *issuers) discovery(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if _, found := known()[name]; !found {
		http.NotFound(w, r)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{
		"issuer": s.of(name), "jwks_uri": s.url + "/keys",
		"authorization_endpoint": s.of(name) + "/authorize", "token_endpoint": s.of(name) + "/token",
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"response_types_supported":              []string{"code"}, "subject_types_supported": []string{"public"},
	})
}

func (s *issuers) keys(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: s.key.Public(), KeyID: "1", Algorithm: string(jose.ES256), Use: "sig"},
	}})
}

// token answers with a token of the issuer that the parameter "issuer" names, "github" by default.
// The other parameters, or the members of a JSON object in the body, replace its claims; null
// removes one. Times are Unix seconds, so that an expired token can be had.
func (s *issuers) token(w http.ResponseWriter, r *http.Request) {
	asked := map[string]any{}
	name := "github"
	for claim, values := range r.URL.Query() {
		if claim == "issuer" {
			name = values[0]
			continue
		}
		asked[claim] = values[0]
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&asked); err != nil {
			refuse(w, fmt.Errorf("reading the claims: %w", err))
			return
		}
	}
	token, err := s.mint(name, asked)
	if err != nil {
		refuse(w, err)
		return
	}
	io.WriteString(w, token)
}

func (s *issuers) mint(name string, asked map[string]any) (string, error) {
	from, found := known()[name]
	if !found {
		return "", fmt.Errorf("no issuer is called %q", name)
	}
	now := time.Now()
	claims := map[string]any{"iss": s.of(name), "aud": audience, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	maps.Copy(claims, from.claims)
	maps.Copy(claims, asked)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: "1"}}, nil)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(body)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
