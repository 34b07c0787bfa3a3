package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"sealift.dev/test/bench/bump"
)

// measureAutomate has a registry and a Git server of its own.
func (w *workshop) measureAutomate(ctx context.Context, runs int) (*bump.Report, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(w.dir, "automate-")
	if err != nil {
		return nil, err
	}
	return bump.Measure(ctx, bump.Options{
		Sealift: w.sealift, Dir: dir, Runs: runs, Tags: []int{10_000, 100_000}, Environment: w.environment(),
		List: []string{self, "tags"}, Out: os.Stderr,
		Run: func(ctx context.Context, program string, args ...string) (bump.Usage, error) {
			u, err := w.measure(ctx, program, args...)
			return bump.Usage{Seconds: u.Seconds, CPU: u.CPU, PeakBytes: u.PeakBytes}, err
		},
	})
}

// listTags reads the whole list of a repository's tags, page by page, and keeps none.
func listTags(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench tags URL REPOSITORY")
	}
	next, err := url.Parse(args[0] + "/v2/" + args[1] + "/tags/list?n=1000")
	for err == nil && next != nil {
		next, err = listPage(ctx, next)
	}
	return err
}

// listPage gives the address of the page after it; nil: it was the last.
func listPage(ctx context.Context, page *url.URL) (*url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var list struct {
		Tags []string `json:"tags"`
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("reading %s: %w", page, err)
	}
	link, _, found := strings.Cut(strings.TrimPrefix(response.Header.Get("Link"), "<"), ">")
	if !found {
		return nil, nil
	}
	return page.Parse(link)
}
