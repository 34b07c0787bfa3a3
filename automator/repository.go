package automator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"
)

// maxGitBytes bounds one answer of the Git server: a branch without its history,
// as it is transferred.
const maxGitBytes = 256 << 20

// repository is a Git repository on a server. It keeps the last tip it has read.
type repository struct {
	client   transport.Transport
	endpoint *transport.Endpoint
	auth     transport.AuthMethod
	url      string
	tip      plumbing.Hash
	objects  *memory.Storage
	limits   packLimits
}

func openRepository(opts Options) (*repository, error) {
	endpoint, err := transport.NewEndpoint(opts.Repo)
	if err != nil {
		return nil, fmt.Errorf("repository %q: %w", opts.Repo, err)
	}
	client := &http.Client{Transport: &boundedTransport{inner: opts.Transport, limit: maxGitBytes, plainHTTP: opts.PlainHTTP}}
	r := &repository{client: githttp.NewClient(client), endpoint: endpoint, url: opts.Repo, limits: defaultPackLimits()}
	if opts.Username != "" || opts.Password != "" {
		r.auth = &githttp.BasicAuth{Username: opts.Username, Password: opts.Password}
	}
	return r, nil
}

// advertise reads the branches. A redirect changes the session's endpoint, so
// each session has its own.
func (r *repository) advertise(ctx context.Context) (transport.UploadPackSession, *packp.AdvRefs, error) {
	endpoint := *r.endpoint
	session, err := r.client.NewUploadPackSession(&endpoint, r.auth)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to %s: %w", r.url, err)
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the branches of %s: %w", r.url, hinted(err))
	}
	return session, refs, nil
}

// defaultBranch is the branch that the remote's HEAD names.
func (r *repository) defaultBranch(ctx context.Context) (string, error) {
	_, refs, err := r.advertise(ctx)
	if err != nil {
		return "", err
	}
	for _, value := range refs.Capabilities.Get(capability.SymRef) {
		if target, ok := strings.CutPrefix(value, "HEAD:refs/heads/"); ok {
			return target, nil
		}
	}
	return "", fmt.Errorf("%s does not name a default branch; hint: name one", r.url)
}

// fetch reads the tip of a branch, without its history, to memory. Nothing is
// transferred if the tip is the one that was read or pushed last.
func (r *repository) fetch(ctx context.Context, branch string) (*object.Commit, error) {
	session, refs, err := r.advertise(ctx)
	if err != nil {
		return nil, err
	}
	tip, ok := refs.References[plumbing.NewBranchReferenceName(branch).String()]
	if !ok {
		return nil, fmt.Errorf("%s has no branch %q; hint: push it first, or name another", r.url, branch)
	}
	if r.objects == nil || r.tip != tip {
		objects := memory.NewStorage()
		if err := receive(ctx, session, refs, tip, objects, r.limits); err != nil {
			return nil, fmt.Errorf("reading %s of %s: %w", branch, r.url, hinted(err))
		}
		r.tip, r.objects = tip, objects
	}
	commit, err := object.GetCommit(r.objects, tip)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", branch, r.url, err)
	}
	return commit, nil
}

// receive asks for one commit without its parents, and without the files that
// are too large to edit where the server can leave them out.
func receive(ctx context.Context, session transport.UploadPackSession, refs *packp.AdvRefs, tip plumbing.Hash, to *memory.Storage, limits packLimits) error {
	req := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	req.Wants = []plumbing.Hash{tip}
	if refs.Capabilities.Supports(capability.Shallow) {
		req.Depth = packp.DepthCommits(1)
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
	}
	if refs.Capabilities.Supports(capability.Filter) {
		req.Filter = packp.FilterBlobLimit(maxFileBytes+1, packp.BlobLimitPrefixNone)
		if err := req.Capabilities.Set(capability.Filter); err != nil {
			return err
		}
	}
	answer, err := session.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer answer.Close()
	var pack io.Reader = answer
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	return unpack(ctx, pack, to, limits)
}

// rejectedError is a push that the server did not take; the branch is as it was.
type rejectedError struct{ reason string }

func (e *rejectedError) Error() string { return "the push was rejected: " + e.reason }

// push moves the branch from base to c, if it is still at base. Otherwise, or
// if the server refuses, the error is a *rejectedError.
func (r *repository) push(ctx context.Context, branch string, base *object.Commit, c newCommit) error {
	endpoint := *r.endpoint
	session, err := r.client.NewReceivePackSession(&endpoint, r.auth)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", r.url, err)
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return fmt.Errorf("pushing to %s of %s: %w", branch, r.url, hinted(err))
	}
	name := plumbing.NewBranchReferenceName(branch)
	if refs.References[name.String()] != base.Hash {
		return &rejectedError{reason: "the branch has moved on"}
	}
	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, r.objects, false).Encode(c.objects, 0); err != nil {
		return fmt.Errorf("packing %s: %w", c.commit.Hash, err)
	}
	req := packp.NewReferenceUpdateRequestFromCapabilities(refs.Capabilities)
	// The server compares Old when it writes, so nobody's commit is lost.
	req.Commands = []*packp.Command{{Name: name, Old: base.Hash, New: c.commit.Hash}}
	req.Packfile = io.NopCloser(&pack)
	report, err := session.ReceivePack(ctx, req)
	if report != nil && report.Error() != nil {
		return &rejectedError{reason: oneLine(report.Error().Error())}
	}
	if err == nil && report == nil {
		err = errors.New("the server does not say whether it took the push")
	}
	if err != nil {
		return fmt.Errorf("pushing to %s of %s: %w", branch, r.url, hinted(err))
	}
	r.tip = c.commit.Hash
	return nil
}

// hinted adds what a person can do about an error of the transport.
func hinted(err error) error {
	hint := ""
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired):
		hint = "pass a username and a password or token"
	case errors.Is(err, transport.ErrAuthorizationFailed):
		hint = "these credentials may not do this: check their rights"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		hint = "check the URL; a private repository may need credentials"
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		hint = "push a first commit"
	default:
		return err
	}
	return fmt.Errorf("%s; hint: %s", strings.TrimRight(oneLine(err.Error()), ": "), hint)
}

// oneLine keeps a server's message short and free of control characters.
func oneLine(s string) string {
	const most = 300
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.TrimSpace(s)
}
