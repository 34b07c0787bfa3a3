package bump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// bareRefs asks for one branch as protocol v2 has it and no more: what the server can do, then the
// refs with one prefix. (git ls-remote asks for all of them.)
func (g *ground) bareRefs(ctx context.Context) (Cost, error) {
	before, begun := g.now(theirs), time.Now()
	if _, err := g.ask(ctx, http.MethodGet, "/info/refs?service=git-upload-pack", ""); err != nil {
		return Cost{}, err
	}
	question := packet("command=ls-refs\n") + packet("object-format=sha1") + "0001" + packet("ref-prefix refs/heads/main\n") + "0000"
	answer, err := g.ask(ctx, http.MethodPost, "/git-upload-pack", question)
	if err == nil && !strings.Contains(answer, " refs/heads/main") {
		err = errors.New("the server does not name the branch main")
	}
	took := time.Since(begun)
	http.DefaultClient.CloseIdleConnections()
	c := g.now(theirs).since(before)
	c.Seconds = took.Seconds()
	return c, err
}

// packet is a line as Git frames it.
func packet(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

func (g *ground) ask(ctx context.Context, method, path, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, g.peer+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Git-Protocol", "version=2")
	if body != "" {
		request.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	return string(answer), err
}
