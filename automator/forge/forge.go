// Package forge opens, renews and closes pull requests on GitHub, GitLab, Gitea and Forgejo.
package forge
