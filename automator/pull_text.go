package automator

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sealift.dev/automator/forge"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/internal/text"
)

const (
	maxBody   = 60_000 // bytes, which leaves room below the forges' limit in characters
	maxCell   = 300    // bytes of one text in it
	maxMarked = 1_000  // images in a mark
	markBegin = "<!-- sealift: "
	markEnd   = " -->"
)

// proposal is the request as it should be.
func (p *pulls) proposal(one *pull) (forge.Proposal, error) {
	title, err := p.title(one.group)
	if err != nil {
		return forge.Proposal{}, err
	}
	body := pullBody(one)
	m := mark{Images: map[string]string{}, Text: checksum(title, body)}
	for image, w := range one.proposed {
		if m.Images[image] = w.Tag; w.Digest != "" {
			m.Images[image] += "@" + w.Digest
		}
	}
	return forge.Proposal{
		Head: one.head, Base: p.base, Title: title, Body: body + m.String(), Draft: p.rules.Draft,
		Labels: p.rules.Labels, Assignees: p.rules.Assignees, Reviewers: p.rules.Reviewers,
	}, nil
}

// title is the first line of the group's message, or what the template makes.
func (p *pulls) title(g group) (string, error) {
	title, _, _ := strings.Cut(g.message, "\n")
	if p.titled != nil {
		made, err := p.titled.render(described{Group: g.name, Branch: p.base, Changes: g.changes, Images: changed(g)})
		if err != nil {
			return "", fmt.Errorf("automate.pullRequests.title: %w", err)
		}
		if strings.TrimSpace(made) != "" {
			title = made
		}
	}
	return strings.TrimSpace(text.Line(title, forge.MaxTitle)), nil
}

// changed are the images of a group that its edits are about.
func changed(g group) []ImageReport {
	return slices.DeleteFunc(slices.Clone(g.images), func(r ImageReport) bool {
		return !slices.ContainsFunc(g.changes, func(c Change) bool { return c.Image == r.Name })
	})
}

// pullBody says what is updated, where, what is left out and why, and what to do about it.
// Names of tags and files stand in it as code, where they are no markup.
func pullBody(one *pull) string {
	b := &body{}
	b.write("| image | from | to | digest | signed by |\n|---|---|---|---|---|\n")
	for _, row := range rows(one.group) {
		b.write(row)
	}
	b.write("\n")
	if len(one.changes) > 0 {
		b.write("<details><summary>" + text.Count(len(one.changes), "value", "values") + "</summary>\n\n")
		for _, c := range one.changes {
			b.write(fmt.Sprintf("- %s: %s → %s\n", code(fmt.Sprintf("%s:%d", c.File, c.Line)), code(c.Old), code(c.New)))
		}
		b.close("\n</details>\n\n")
	}
	refused := false
	for _, report := range one.images {
		for _, r := range report.Refusals {
			if !refused {
				b.write("Not taken:\n\n")
				refused = true
			}
			b.write(fmt.Sprintf("- %s: %s (%s)\n", code(strings.TrimSpace(report.Name+" "+r.Tag)), text.Markdown(text.Line(r.Reason, maxCell)), r.Gate))
		}
	}
	if refused {
		b.write("\n")
	}
	b.close("Merge to update. Close without merging to hold these versions until newer ones come. " +
		"Commits of others on " + code(one.head) + " stop its renewal.\n")
	return b.String()
}

// body takes whole pieces until there is no room for more.
type body struct {
	strings.Builder
	cut int
}

func (b *body) write(piece string) {
	const tail = 2_000 // for what must be there
	if b.Len()+len(piece) > maxBody-tail {
		b.cut++
		return
	}
	b.WriteString(piece)
}

// close writes what must be there, and says what was left out.
func (b *body) close(piece string) {
	if b.cut > 0 {
		fmt.Fprintf(b, "\n%d more lines were left out.\n", b.cut)
		b.cut = 0
	}
	b.WriteString(piece)
}

// rows are the images of a group's changes, in the order of the reports.
func rows(g group) []string {
	var rows []string
	for _, report := range g.images {
		var from []string
		tag, digest := "", ""
		for _, c := range g.changes {
			if c.Image != report.Name || c.Tag == "" {
				continue
			}
			if old := tagOf(c.Old); !slices.Contains(from, old) {
				from = append(from, old)
			}
			tag, digest = c.Tag, c.Digest
		}
		if tag == "" {
			continue
		}
		name := code(report.Image)
		if link := pageOf(report.Image); link != "" {
			name = "[" + name + "](" + link + ")"
		}
		const most = 5
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s |\n", name, codes(from[:min(len(from), most)]), code(tag), codes(list(digest)), codes(report.Signers)))
	}
	return rows
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// tagOf is what stands behind the repository in a reference, and all of anything else.
func tagOf(value string) string {
	if colon := strings.LastIndexByte(value, ':'); colon > strings.LastIndexByte(value, '/') && !strings.Contains(value, "@") {
		return value[colon+1:]
	}
	return value
}

// pageOf is where people look at a repository; empty: nobody knows.
func pageOf(repository string) string {
	host, path, ok := strings.Cut(repository, "/")
	if !ok || strings.Trim(path, "abcdefghijklmnopqrstuvwxyz0123456789-_./") != "" {
		return ""
	}
	switch host {
	case "ghcr.io":
		return "https://ghcr.io/" + path
	case "quay.io":
		return "https://quay.io/repository/" + path
	case "docker.io", "index.docker.io":
		if name, official := strings.CutPrefix(path, "library/"); official {
			return "https://hub.docker.com/_/" + name
		}
		return "https://hub.docker.com/r/" + path
	}
	return ""
}

// code is a text in a cell of a table, where a bar would end the cell also in code.
func code(s string) string {
	if s == "" {
		return ""
	}
	return strings.ReplaceAll(text.Code(text.Line(s, maxCell)), "|", `\|`)
}

func codes(all []string) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, code(s))
	}
	return strings.Join(parts, ", ")
}

// mark is what a body carries for the automator itself, where the ledger may be lost.
type mark struct {
	Images map[string]string `json:"images,omitempty"` // NAMESPACE:NAME to TAG[@DIGEST]
	Text   string            `json:"text,omitempty"`   // checksum of title and body as they were written
	// Withdrawn says that the automator closed the request itself.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// String is a comment in HTML; JSON's escapes keep it from ending early.
func (m mark) String() string {
	data, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return "\n" + markBegin + string(data) + markEnd + "\n"
}

// marked splits a body into what people see and the mark.
func marked(body string) (visible string, m mark) {
	begin := strings.LastIndex(body, markBegin)
	if begin < 0 {
		return body, mark{}
	}
	rest, _, ok := strings.Cut(body[begin+len(markBegin):], markEnd)
	if !ok || json.Unmarshal([]byte(rest), &m) != nil || len(m.Images) > maxMarked {
		return body, mark{}
	}
	return body[:begin], m
}

func withdrawn(body string) string {
	visible, m := marked(body)
	m.Withdrawn = true
	return strings.TrimRight(visible, "\n") + "\n" + m.String()
}

func checksum(title, body string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(plainText(title)+"\n"+plainText(body))))[:16]
}

// proposed is what merging a request would write: by the ledger, else by the mark.
func proposed(r *forge.Request, entry ledger.Request) map[string]hold.Written {
	if r == nil {
		return entry.Images
	}
	_, m := marked(r.Body)
	switch {
	case m.Withdrawn:
		return nil
	case len(entry.Images) > 0 && isAbout(entry, *r):
		return entry.Images
	}
	images := map[string]hold.Written{}
	valid := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[0-9a-f]{64})?$`)
	for image, ref := range m.Images {
		if tag, digest, _ := strings.Cut(ref, "@"); valid.MatchString(ref) {
			images[image] = hold.Written{Tag: tag, Digest: digest}
		}
	}
	return images
}

// rewrites says that title and body are to be written: they are not as they should be, and no
// person's words would be lost, or the branch has new content that they are about.
func rewrites(r forge.Request, want forge.Proposal, renewed bool) bool {
	if sameText(r.Title, want.Title) && sameText(r.Body, want.Body) {
		return false
	}
	visible, m := marked(r.Body)
	return renewed || m.Text == checksum(r.Title, visible)
}

func closingComment(reason string) string {
	return "Closed by the automator: " + text.Markdown(text.Line(reason, 2_000)) + "."
}
