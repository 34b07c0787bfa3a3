package attest

import "strings"

// Builders that have no URI of their own. What each of them stands for is in
// docs/artifact.md.
const (
	localBuilder      = "https://sealift.dev/builders/local/v1"
	selfHostedBuilder = "https://sealift.dev/builders/github-self-hosted/v1"
	gitlabBuilder     = "https://sealift.dev/builders/gitlab/v1"
)

// Run is where a release was published. Whoever starts the program can set what it is
// read from: it is worth as much as the signer is trusted.
type Run struct {
	Builder    string // a URI
	Invocation string // URL of the run; empty: it has none
	Version    string // of sealift
	// Facts are what the runner says of itself, for people.
	Facts map[string]string
}

// RunOf reads the environment that continuous integration sets: that of GitHub
// Actions, https://docs.github.com/en/actions/reference/workflows-and-actions/variables,
// and of GitLab, https://docs.gitlab.com/ci/variables/predefined_variables/. Anything
// else is a local run.
func RunOf(env func(string) string, version string) Run {
	run := Run{Builder: localBuilder, Version: version, Facts: map[string]string{}}
	switch {
	case env("GITHUB_ACTIONS") == "true":
		run.github(env)
	case env("GITLAB_CI") == "true":
		run.gitlab(env)
	}
	return run
}

// github names a hosted runner by the workflow that it ran: GitHub vouches for such a
// runner, and for nobody's own.
func (r *Run) github(env func(string) string) {
	server := strings.TrimSuffix(env("GITHUB_SERVER_URL"), "/")
	workflow := env("GITHUB_WORKFLOW_REF")
	r.Builder = selfHostedBuilder
	if env("RUNNER_ENVIRONMENT") == "github-hosted" && server != "" && workflow != "" {
		r.Builder = server + "/" + workflow
	}
	if repository, run := env("GITHUB_REPOSITORY"), env("GITHUB_RUN_ID"); server != "" && repository != "" && run != "" {
		r.Invocation = server + "/" + repository + "/actions/runs/" + run
		if attempt := env("GITHUB_RUN_ATTEMPT"); attempt != "" {
			r.Invocation += "/attempts/" + attempt
		}
	}
	r.note(env, "GITHUB_WORKFLOW_REF", "GITHUB_EVENT_NAME", "GITHUB_ACTOR_ID", "GITHUB_REPOSITORY_ID", "RUNNER_ENVIRONMENT")
}

// gitlab names the runner: its variables do not say who keeps it.
func (r *Run) gitlab(env func(string) string) {
	project, runner := strings.TrimSuffix(env("CI_PROJECT_URL"), "/"), env("CI_RUNNER_ID")
	r.Builder = gitlabBuilder
	if project != "" && runner != "" {
		r.Builder = project + "/-/runners/" + runner
	}
	r.Invocation = env("CI_JOB_URL")
	r.note(env, "CI_CONFIG_PATH", "CI_PIPELINE_SOURCE", "CI_PIPELINE_ID", "CI_PROJECT_ID", "CI_RUNNER_DESCRIPTION")
}

func (r *Run) note(env func(string) string, names ...string) {
	for _, name := range names {
		if value := env(name); value != "" {
			r.Facts[name] = value
		}
	}
}
