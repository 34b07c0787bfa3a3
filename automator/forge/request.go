package forge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// eachHead asks about one branch after the other.
func eachHead(heads []string, find func(head string) ([]Request, error)) (map[string][]Request, error) {
	all := map[string][]Request{}
	for _, head := range heads {
		found, err := find(head)
		if err != nil {
			return nil, err
		}
		all[head] = found
	}
	return all, nil
}

func latestFirst(found []Request) []Request {
	slices.SortFunc(found, func(a, b Request) int { return cmp.Compare(b.Number, a.Number) })
	return found
}

// note keeps why something beside the request itself was not set.
func (r *Request) note(what string, err error) {
	if err != nil {
		r.Notes = append(r.Notes, told(fmt.Sprintf("setting %s of pull request %d", what, r.Number), err).Error())
	}
}

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// asDraft puts the words before a title that make a draft of a request.
func asDraft(title, mark string, draft bool) string {
	if !draft {
		return title
	}
	return mark + " " + title
}

func withoutDraft(title, mark string) string {
	if len(title) >= len(mark) && strings.EqualFold(title[:len(mark)], mark) {
		return strings.TrimSpace(title[len(mark):])
	}
	return title
}

// PushOptions ask GitLab to open a merge request in answer to a push, where there is no
// token for its API. They must be on one line each, and GitLab keeps line breaks out.
func PushOptions(p Proposal) []string {
	options := []string{"merge_request.create", "merge_request.target=" + p.Base, "merge_request.title=" + asDraft(p.Title, "Draft:", p.Draft), "merge_request.remove_source_branch"}
	for _, label := range p.Labels {
		options = append(options, "merge_request.label="+label)
	}
	for _, name := range p.Assignees {
		options = append(options, "merge_request.assign="+name)
	}
	return options
}
