package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"sealift.dev/internal/httpx"
)

// Options say how to reach registries. The zero value is anonymous, with TLS.
type Options struct {
	// PlainHTTP speaks HTTP instead of TLS: to all hosts, or where PlainHosts names
	// any (HOST[:PORT]), to those and to this machine only.
	PlainHTTP  bool
	PlainHosts []string
	// Credentials, where nil, make everybody anonymous.
	Credentials Credentials
	// Transport comes from a Network or a NetworkPool; nil: that of the zero Network.
	Transport http.RoundTripper
	// TokenServers are hosts, HOST[:PORT], that may be told credentials although they
	// do not belong to the registry's domain.
	TokenServers []string
	// Patience is how long a request may wait altogether while the registry is busy.
	// Zero: DefaultPatience; negative: nobody is asked twice.
	Patience  time.Duration
	UserAgent string // empty: sealift
}

// Registry reads and writes releases, and what refers to them, in any registry.
// It is safe for concurrent use; one is enough for each set of credentials. What
// a registry sends is bounded and checked against its digest before it is used.
type Registry struct {
	plainHTTP  bool
	plainHosts []string
	client     *auth.Client

	mu           sync.Mutex
	repositories map[Repository]*remote.Repository
}

// NewRegistry makes a client; nothing is dialled yet.
func NewRegistry(o Options) *Registry { return newRegistry(o, defaultPace()) }

func newRegistry(o Options, p pace) *Registry {
	client := &auth.Client{
		Client: &http.Client{Transport: newGuard(o, p), CheckRedirect: checkRedirect},
		Cache:  auth.NewCache(),
	}
	client.SetUserAgent(orDefault(o.UserAgent, "sealift"))
	if o.Credentials != nil {
		client.Credential = func(ctx context.Context, host string) (auth.Credential, error) {
			c, err := o.Credentials(ctx, host)
			if err != nil {
				return auth.EmptyCredential, fmt.Errorf("reading the credentials for %s: %w", host, err)
			}
			return auth.Credential{Username: c.Username, Password: c.Password, RefreshToken: c.IdentityToken, AccessToken: c.RegistryToken}, nil
		}
	}
	r := &Registry{plainHTTP: o.PlainHTTP, client: client, repositories: map[Repository]*remote.Repository{}}
	for _, host := range o.PlainHosts {
		r.plainHosts = append(r.plainHosts, canonicalHost(host))
	}
	return r
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// speaksPlain says whether a host is asked by HTTP.
func (r *Registry) speaksPlain(host string) bool {
	if !r.plainHTTP || len(r.plainHosts) == 0 || slices.Contains(r.plainHosts, host) {
		return r.plainHTTP
	}
	return httpx.IsLoopback((&url.URL{Host: host}).Hostname())
}

// Resolve asks which manifest has tag now: one HEAD, and a GET where that does not tell.
func (r *Registry) Resolve(ctx context.Context, repository Repository, tag string) (Ref, error) {
	act := fmt.Sprintf("resolving %s:%s", repository, tag)
	response, err := r.do(ctx, http.MethodHead, repository, r.manifestURL(repository, tag))
	if refusesMethod(err) {
		return r.resolveByGet(ctx, repository, tag)
	}
	if err != nil {
		return Ref{}, explain(act, err)
	}
	_ = response.Body.Close()
	d := digest.Digest(response.Header.Get("Docker-Content-Digest"))
	if d == "" {
		return r.resolveByGet(ctx, repository, tag)
	}
	if err := checkDigest(d); err != nil {
		return Ref{}, explain(act, corrupt(err))
	}
	return repository.At(d), nil
}

// refusesMethod says that a registry, or a proxy before it, knows no HEAD.
func refusesMethod(err error) bool {
	var a *answer
	return errors.As(err, &a) && (a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotImplemented)
}

// resolveByGet is for registries whose HEAD does not tell the digest.
func (r *Registry) resolveByGet(ctx context.Context, repository Repository, tag string) (Ref, error) {
	data, _, err := r.get(ctx, repository, r.manifestURL(repository, tag), maxManifest)
	if err != nil {
		return Ref{}, explain(fmt.Sprintf("resolving %s:%s", repository, tag), err)
	}
	return repository.At(digest.FromBytes(data)), nil
}

// Blob reads what desc describes, of at most limit bytes, as it is stored: it is
// never decompressed. Reading stops one byte behind the size that desc promises.
func (r *Registry) Blob(ctx context.Context, repository Repository, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	act := fmt.Sprintf("reading the blob %s of %s", clip(desc.Digest.String()), repository)
	if err := checkDescriptor(desc); err != nil {
		return nil, explain(act, corrupt(err))
	}
	if desc.Size > limit {
		return nil, explain(act, fmt.Errorf("it has %d bytes, more than %d: %w", desc.Size, limit, ErrLimit))
	}
	data, _, err := r.get(ctx, repository, r.url(repository, "blobs", desc.Digest.String()), desc.Size)
	switch {
	case errors.Is(err, ErrLimit):
		return nil, explain(act, fmt.Errorf("more bytes than the %d declared: %w", desc.Size, ErrCorrupt))
	case err != nil:
		return nil, explain(act, err)
	case int64(len(data)) != desc.Size:
		return nil, explain(act, fmt.Errorf("%d bytes instead of the %d declared: %w", len(data), desc.Size, ErrCorrupt))
	case digest.FromBytes(data) != desc.Digest:
		return nil, explain(act, fmt.Errorf("its bytes have the digest %s: %w", digest.FromBytes(data), ErrCorrupt))
	}
	return data, nil
}

func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%q is not a sha256 digest", clip(d.String()))
	}
	return nil
}

// maxBlob is larger than any blob that is read, and small enough to add to.
const maxBlob = 1 << 40

func checkDescriptor(desc ocispec.Descriptor) error {
	if err := checkDigest(desc.Digest); err != nil {
		return err
	}
	if desc.Size < 0 || desc.Size > maxBlob {
		return fmt.Errorf("a size of %d bytes", desc.Size)
	}
	if len(desc.URLs) > 0 {
		return fmt.Errorf("it lies elsewhere, at %q", clip(desc.URLs[0]))
	}
	return nil
}

func (r *Registry) url(repository Repository, parts ...string) *url.URL {
	u := &url.URL{Scheme: "https", Host: repository.Host, Path: "/v2/" + repository.Path + "/" + strings.Join(parts, "/")}
	if r.speaksPlain(repository.Host) {
		u.Scheme = "http"
	}
	if u.Host == dockerHub {
		u.Host = "registry-1.docker.io"
	}
	return u
}

func (r *Registry) manifestURL(repository Repository, reference string) *url.URL {
	return r.url(repository, "manifests", reference)
}

// acceptedManifests is what may stand behind a tag.
func acceptedManifests() string {
	return strings.Join([]string{
		ocispec.MediaTypeImageManifest, typeDockerManifest, ocispec.MediaTypeImageIndex, typeDockerList,
	}, ", ")
}

// do sends a request without a body, and gives an answer of status 200 only.
func (r *Registry) do(ctx context.Context, method string, repository Repository, at *url.URL) (*http.Response, error) {
	ctx = auth.AppendScopesForHost(ctx, at.Host, auth.ScopeRepository(repository.Path, auth.ActionPull))
	request, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		return nil, err
	}
	if strings.Contains(at.Path, "/manifests/") {
		request.Header.Set("Accept", acceptedManifests())
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, withoutAddress(err, at.Host)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, readAnswer(response)
	}
	return response, nil
}

// withoutAddress takes the address that was asked out of err, where it is on host:
// who explains err names it, and a clipped message has room for the cause.
func withoutAddress(err error, host string) error {
	var told *url.Error
	if !errors.As(err, &told) {
		return err
	}
	if at, parseError := url.Parse(told.URL); parseError == nil && at.Host == host {
		return told.Err
	}
	return err
}

// readAnswer takes the registry's words from an answer that is no success.
func readAnswer(response *http.Response) error {
	const most = 8 << 10
	a := &answer{status: response.StatusCode, retryAfter: httpx.RetryAfter(response)}
	data, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return a // the status says enough
	}
	var told struct {
		Errors errcode.Errors `json:"errors"`
	}
	if unmarshal(data, &told) == nil {
		a.words = wordsOf(told.Errors)
	}
	return a
}

// get reads an answer's body of at most limit bytes.
func (r *Registry) get(ctx context.Context, repository Repository, at *url.URL, limit int64) ([]byte, *http.Response, error) {
	response, err := r.do(ctx, http.MethodGet, repository, at)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	var data bytes.Buffer
	if told := response.ContentLength; told > 0 && told <= limit {
		data.Grow(int(told) + bytes.MinRead) // one buffer instead of many that grow
	}
	_, err = data.ReadFrom(io.LimitReader(response.Body, limit+1))
	if int64(data.Len()) > limit {
		return nil, nil, fmt.Errorf("the answer has more than %d bytes: %w", limit, ErrLimit)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer: %w", err)
	}
	return data.Bytes(), response, nil
}
