package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"sealift.dev/internal/text"
)

// Limits of one page of a list.
const (
	maxPageBytes  = 32 << 20 // some registries tell more than the tags
	maxValueBytes = 64 << 10 // of one value, and the blanks around it
	maxDepth      = 32
	maxTagLength  = 128 // as the specification has it
	maxLinkBytes  = 4 << 10
)

// page is one page of a list.
type page struct {
	count int    // tags in it, valid or not
	next  string // query of the next one; empty: there is none
}

// page asks for one page, and hands its tags to take. A page that the registry says has not
// changed is taken from the cache.
func (l *lister) page(ctx context.Context, query string, take func(tag string) error) (page, error) {
	l.requests++
	key := pageKey{l.r.ref.Name(), query}
	known, header := l.c.pages.get(key), http.Header{}
	if known != nil {
		known.condition(header)
	}
	response, err := l.c.ask(ctx, l.r, http.MethodGet, "tags/list?"+query, header, http.StatusOK, http.StatusNotModified)
	if err != nil {
		return page{}, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified {
		if known == nil {
			return page{}, errors.New("the registry says that a page has not changed, but was not asked that")
		}
		return known.replay(take)
	}
	l.unchanged = false
	next, err := nextQuery(response, l.r.ref.RepositoryStr())
	if err != nil {
		return page{}, err
	}
	p := page{next: next}
	kept := newKept(response, next)
	p.count, err = readTags(response.Body, func(tag string) error {
		kept.add(tag)
		return take(tag)
	})
	if err != nil {
		return page{}, fmt.Errorf("reading a page of tags: %w", err)
	}
	l.c.pages.put(key, kept)
	return p, nil
}

// nextQuery reads a next link, of which only the query counts. One that leads to another
// host, scheme or repository is an error.
func nextQuery(response *http.Response, repository string) (string, error) {
	link, err := nextLink(response.Header.Values("Link"))
	if err != nil || link == "" {
		return "", err
	}
	from := response.Request.URL
	at, err := url.Parse(link)
	if err != nil {
		return "", fmt.Errorf("the link to the next page, %q, does not parse", text.Line(link, 100))
	}
	at = from.ResolveReference(at)
	asked := "/v2/" + repository + "/tags/list"
	switch {
	case !strings.EqualFold(at.Host, from.Host) || at.User != nil:
		return "", fmt.Errorf("the next page is on another host, %q", text.Line(at.Host, 100))
	case at.Scheme != from.Scheme:
		return "", fmt.Errorf("the next page is by %q, not by %s; hint: tell the registry how it is reached, with X-Forwarded-Proto in front of it",
			text.Line(at.Scheme, 20), from.Scheme)
	case at.Path != from.Path && at.Path != asked:
		return "", fmt.Errorf("the next page is of another repository, %q", text.Line(at.Path, 100))
	case at.RawQuery == "":
		return "", errors.New("the link to the next page has no query")
	}
	return at.RawQuery, nil
}

// nextLink finds the target of rel=next in Link headers (RFC 8288); empty: there is none.
func nextLink(headers []string) (string, error) {
	for _, header := range headers {
		if len(header) > maxLinkBytes {
			return "", fmt.Errorf("the link to the next page has more than %d bytes", maxLinkBytes)
		}
		for rest := header; ; {
			open := strings.IndexByte(rest, '<')
			if open < 0 {
				break
			}
			target, behind, ok := strings.Cut(rest[open+1:], ">")
			if !ok {
				return "", errors.New("a Link header does not parse")
			}
			parameters := behind
			if next := strings.Index(behind, ",<"); next >= 0 {
				parameters = behind[:next]
			} else if next := strings.Index(behind, ", <"); next >= 0 {
				parameters = behind[:next]
			}
			if isNext(parameters) {
				return target, nil
			}
			rest = behind
		}
	}
	return "", nil
}

func isNext(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(strings.TrimSpace(name), "rel") && strings.EqualFold(strings.Trim(strings.TrimSpace(value), `"`), "next") {
			return true
		}
	}
	return false
}

// readTags reads the answer to tags/list, one tag at a time, and counts them.
func readTags(from io.Reader, take func(tag string) error) (int, error) {
	d := &tagDecoder{source: &rationed{inner: from}}
	d.json = json.NewDecoder(d.source)
	count, err := d.object(take)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return count, err
	}
	return count, d.end()
}

// tagDecoder reads JSON token by token, so that no page is held as a whole.
type tagDecoder struct {
	json   *json.Decoder
	source *rationed
}

func (d *tagDecoder) token() (json.Token, error) {
	d.source.left = maxValueBytes
	return d.json.Token()
}

// end wants nothing more.
func (d *tagDecoder) end() error {
	_, err := d.token()
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil || errors.As(err, &syntax):
		return errors.New("there is something behind it")
	}
	return err
}

func (d *tagDecoder) object(take func(tag string) error) (count int, err error) {
	if open, err := d.token(); err != nil {
		return 0, err
	} else if open != json.Delim('{') {
		return 0, errors.New("it is no object")
	}
	found := false
	for d.json.More() {
		key, err := d.token()
		if err != nil {
			return 0, err
		}
		if key != "tags" {
			if err := d.skip(); err != nil {
				return 0, err
			}
			continue
		}
		if found {
			return 0, errors.New("it has two lists of tags")
		}
		found = true
		if count, err = d.tags(take); err != nil {
			return 0, err
		}
	}
	if _, err := d.token(); err != nil {
		return 0, err
	}
	if !found {
		return 0, errors.New("it has no list of tags")
	}
	return count, nil
}

func (d *tagDecoder) tags(take func(tag string) error) (count int, err error) {
	open, err := d.token()
	if err != nil {
		return 0, err
	}
	if open == nil {
		return 0, errNullTags
	}
	if open != json.Delim('[') {
		return 0, errors.New("its tags are no list")
	}
	for d.json.More() {
		value, err := d.token()
		if err != nil {
			return 0, err
		}
		tag, ok := value.(string)
		if !ok {
			return 0, errors.New("one of its tags is no text")
		}
		count++
		if err := take(tag); err != nil {
			return 0, err
		}
	}
	_, err = d.token()
	return count, err
}

// errNullTags is what some registries say about a repository without tags, and others where
// something went wrong.
var errNullTags = errors.New("its list of tags is null; hint: check that the repository has tags")

// skip steps over a value.
func (d *tagDecoder) skip() error {
	for depth := 0; ; {
		value, err := d.token()
		if err != nil {
			return err
		}
		switch value {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return fmt.Errorf("it is nested deeper than %d", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// rationed lets a decoder read so much for one token.
type rationed struct {
	inner io.Reader
	left  int
}

func (r *rationed) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, fmt.Errorf("a value has more than %d bytes", maxValueBytes)
	}
	n, err := r.inner.Read(p)
	r.left -= n
	return n, err
}

// isTag says that a tag may be called so, by the specification of distribution.
func isTag(tag string) bool {
	if tag == "" || len(tag) > maxTagLength {
		return false
	}
	for i := range len(tag) {
		c := tag[i]
		word := c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return true
}
