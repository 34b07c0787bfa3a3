package stage

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// GitOptions of a Git server. The zero value is an open one.
type GitOptions struct {
	// User and Password are asked for by basic authentication. Empty: nobody is asked.
	User, Password string
	// Wrap stands in front of the server, to count requests or answer some of them wrongly. May be nil.
	Wrap func(http.Handler) http.Handler
	// Listen stands around the listener, to count bytes. May be nil.
	Listen func(net.Listener) net.Listener
}

// GitServer serves bare repositories over plain HTTP by "git http-backend", for reading and pushing.
type GitServer struct {
	URL string // without a slash at its end

	dir    string
	server *server
}

// NewGitServer serves the repositories in dir, which is made where it is missing, on a free port.
func NewGitServer(dir string, options GitOptions) (*GitServer, error) {
	backend, err := gitBackend()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	handler := http.Handler(&cgi.Handler{
		Path:   backend,
		Env:    append(gitEnv(dir), "GIT_PROJECT_ROOT="+dir, "GIT_HTTP_EXPORT_ALL=1"),
		Stderr: os.Stderr,
	})
	if options.User != "" {
		handler = authenticate(handler, "git", options.User, options.Password)
	}
	if options.Wrap != nil {
		handler = options.Wrap(handler)
	}
	server, err := serveOn(options.Listen, handler, nil)
	if err != nil {
		return nil, fmt.Errorf("starting the Git server: %w", err)
	}
	return &GitServer{URL: "http://" + server.address, dir: dir, server: server}, nil
}

// Close stops listening; the repositories stay.
func (g *GitServer) Close() error { return g.server.Close() }

// Create makes the empty bare repository name ("shop.git") with the branch main, and returns its URL.
func (g *GitServer) Create(name string) (string, error) {
	if _, err := Git(g.dir, "init", "--quiet", "--bare", "--initial-branch=main", name); err != nil {
		return "", err
	}
	if _, err := Git(g.Path(name), "config", "http.receivepack", "true"); err != nil {
		return "", err
	}
	if _, err := Git(g.Path(name), "config", "uploadpack.allowFilter", "true"); err != nil {
		return "", err
	}
	return g.URL + "/" + name, nil
}

// Path is where the repository lies on disk.
func (g *GitServer) Path(name string) string { return filepath.Join(g.dir, name) }

// Git runs git in dir, apart from the user's and the system's configuration, and returns what it
// printed without the newline at the end. An error carries git's standard error.
func Git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = gitEnv(dir)
	var output, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(problem.String()))
	}
	return strings.TrimSuffix(output.String(), "\n"), nil
}

// Commit writes files (by slash path; an empty content removes the file) in the work tree dir and
// commits them, and returns the commit's id. It does not push.
func Commit(dir, message string, files map[string]string) (string, error) {
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if content == "" {
			if err := os.Remove(path); err != nil {
				return "", err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	if _, err := Git(dir, "add", "--all"); err != nil {
		return "", err
	}
	if _, err := Git(dir, "commit", "--quiet", "--message", message); err != nil {
		return "", err
	}
	return Git(dir, "rev-parse", "HEAD")
}

// gitEnv has nothing of the caller's: neither GIT_DIR of a hook that runs the tests nor a global
// configuration that signs commits.
func gitEnv(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home,
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
	}
}

func gitBackend() (string, error) {
	folder, err := Git(".", "--exec-path")
	if err != nil {
		return "", fmt.Errorf("%w; hint: install git", err)
	}
	backend := filepath.Join(folder, "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return "", fmt.Errorf("finding git http-backend: %w; hint: install git with its HTTP server part (git-daemon on Alpine)", err)
	}
	return backend, nil
}
