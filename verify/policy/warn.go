package policy

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
)

// githubIssuer vouches for workflows, which others may call.
const githubIssuer = "https://token.actions.githubusercontent.com"

// warnings are what a person may not have meant, as of now.
func (p Policy) warnings(now time.Time) []string {
	var found []string
	warn := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if p.Mode == Audit {
		warn("it refuses nothing: in the mode Audit, what does not pass is reported and let in")
	}
	if len(p.Match.Repositories) == 0 && len(p.Match.Namespaces) == 0 {
		warn("it applies to every release in every namespace; hint: name match.repositories")
	}
	if len(p.Source.Repositories) == 0 && !p.bound(func(k Keyless) bool { return k.SourceRepository != "" }) {
		warn("a release from any Git repository will do, if the signature counts; hint: name source.repositories")
	}
	if len(p.Source.Refs) == 0 && !p.bound(func(k Keyless) bool { return k.SourceRef != "" || strings.Contains(k.Subject, "@refs/") }) {
		warn("a release from any branch or tag will do, if the signature counts; hint: name source.refs")
	}
	keyed := !slices.ContainsFunc(p.Authorities, func(a Authority) bool { return a.Key == nil })
	if keyed && p.Require.AtLeast == 1 {
		warn("one key is enough: whoever steals one signs anything, until it is revoked; hint: a second authority and require.atLeast: 2, or keyless")
	}
	for _, a := range p.Authorities {
		found = append(found, a.warnings(now)...)
	}
	for _, a := range p.Attestations {
		for _, attestor := range a.Authorities {
			found = append(found, Authority(attestor).warnings(now)...)
		}
		if len(a.Conditions) == 0 {
			warn("an attestation of the type %s passes whatever it says; hint: give it conditions", a.PredicateType)
		}
	}
	return append(found, p.revocationWarnings()...)
}

// bound says that every authority is an identity that holds.
func (p Policy) bound(holds func(Keyless) bool) bool {
	return !slices.ContainsFunc(p.Authorities, func(a Authority) bool { return a.Keyless == nil || !holds(*a.Keyless) })
}

func (p Policy) revocationWarnings() []string {
	var found []string
	left := Trust{}
	for _, a := range p.Authorities {
		if a.Key != nil && a.Key.SecretRef == nil {
			if public, err := a.Key.Public(); err == nil && slices.Contains(p.Revoked.Keys, public.ID) {
				found = append(found, fmt.Sprintf("the key of %q is revoked, so that its signatures do not count", a.Name))
				continue
			}
		}
		left.Authorities = append(left.Authorities, a)
	}
	if left.distinct() < p.Require.AtLeast {
		found = append(found, "nothing can pass: too few authorities have a key that is not revoked")
	}
	return found
}

func (a Authority) warnings(now time.Time) []string {
	var found []string
	warn := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("%q: ", a.Name)+fmt.Sprintf(format, args...))
	}
	if k := a.Key; k != nil {
		if k.ValidUntil != nil && !now.Before(k.ValidUntil.Time) {
			warn("its key ceased to count at %s", stamp(k.ValidUntil))
		}
		if k.ValidFrom != nil && now.Before(k.ValidFrom.Time) {
			warn("its key does not count before %s", stamp(k.ValidFrom))
		}
	}
	k := a.Keyless
	if k == nil {
		return found
	}
	if strings.HasSuffix(k.Issuer, "/") {
		warn("issuers are compared as they are written, and few end with a slash, as %s does", k.Issuer)
	}
	for _, c := range k.claims() {
		if c.regexp != "" {
			for _, problem := range loose(c) {
				warn("%sRegexp %s", c.name, problem)
			}
		}
	}
	if k.Issuer == githubIssuer && k.SourceRepository == "" && k.SourceRepositoryRegexp == "" {
		warn("every repository that may call the workflow can sign; hint: name sourceRepository")
	}
	if strings.HasPrefix(k.BuildTrigger, "pull_request") {
		warn("what pull requests run counts; hint: buildTrigger: push")
	}
	return found
}

// loose says what an anchored expression lets in that may not be meant.
func loose(c claim) []string {
	parsed, err := syntax.Parse(c.regexp, syntax.Perl)
	if err != nil || !anchored(parsed) {
		return nil
	}
	parts := parsed.Sub[1 : len(parsed.Sub)-1]
	var found []string
	for i := 1; i < len(parts)-1; i++ {
		if parts[i].Op == syntax.OpAnyCharNotNL && parts[i-1].Op == syntax.OpLiteral && parts[i+1].Op == syntax.OpLiteral {
			found = append(found, fmt.Sprintf(`has a dot after %q that stands for any character; hint: write \.`, lastWord(string(parts[i-1].Rune))))
		}
	}
	prefix, suffix := "", ""
	if parts[0].Op == syntax.OpLiteral {
		prefix = string(parts[0].Rune)
	}
	if last := parts[len(parts)-1]; last.Op == syntax.OpLiteral {
		suffix = string(last.Rune)
	}
	switch {
	case prefix == "" && suffix == "":
		found = append(found, "matches nearly everything; hint: begin it with what is fixed")
	case c.name == "subject" || c.name == "sourceRepository":
		if !owned(prefix) && !strings.Contains(suffix, "@") && len(found) == 0 {
			found = append(found, fmt.Sprintf("names no owner: it begins with %q only; hint: write the host and the owner out", prefix))
		}
	}
	return found
}

// owned says that prefix holds a host and a whole first path element, or is no URL.
func owned(prefix string) bool {
	_, rest, isURL := strings.Cut(prefix, "://")
	if !isURL {
		return prefix != "" && !strings.HasPrefix("https://", prefix)
	}
	return strings.Count(rest, "/") >= 2
}

func lastWord(s string) string {
	return s[strings.LastIndexAny(s, "/.")+1:]
}
