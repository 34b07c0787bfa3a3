package policy

import (
	"slices"
	"strings"

	"sealift.dev/internal/giturl"
)

// Matches says whether p applies to a release read from repository (HOST/PATH)
// by a Delivery in namespace. Outside a cluster namespace is empty, and the
// policy's namespaces are ignored.
func (p Policy) Matches(namespace, repository string) bool {
	if namespace != "" && len(p.Match.Namespaces) > 0 && !slices.Contains(p.Match.Namespaces, namespace) {
		return false
	}
	if len(p.Match.Repositories) == 0 {
		return true
	}
	return slices.ContainsFunc(p.Match.Repositories, func(pattern string) bool {
		return matchPath(strings.Split(canonical(pattern), "/"), strings.Split(canonical(repository), "/"))
	})
}

// canonical is place with its host in the one spelling that addresses are read in (see
// artifact.ParseAddress), so that no policy is without effect for another: in lower
// case, with no dot at the end, and without the ports 443 and 80.
func canonical(place string) string {
	host, path := place, ""
	if slash := strings.IndexByte(place, '/'); slash >= 0 {
		host, path = place[:slash], place[slash:]
	}
	host = strings.ToLower(host)
	for _, port := range []string{":443", ":80"} {
		host = strings.TrimSuffix(host, port)
	}
	if name, port, found := strings.Cut(host, ":"); found && !strings.HasPrefix(host, "[") {
		return strings.TrimRight(name, ".") + ":" + port + path
	}
	return strings.TrimRight(host, ".") + path
}

// Concerns is Matches for any of several repositories, but does not let a policy by
// whose patterns cannot be read: nobody knows what they were meant to match.
func (p Policy) Concerns(namespace string, repositories ...string) bool {
	if p.Match.validate() != nil {
		p.Match.Repositories = nil
	}
	return slices.ContainsFunc(repositories, func(repository string) bool { return p.Matches(namespace, repository) })
}

// matchPath compares whole path elements; reach[j] says that the elements read
// so far match the first j parts, so time is bounded by the product of the lengths.
func matchPath(pattern, parts []string) bool {
	reach := make([]bool, len(parts)+1)
	reach[0] = true
	for _, element := range pattern {
		next := make([]bool, len(parts)+1)
		for j := range next {
			switch {
			case element == "**":
				next[j] = reach[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = reach[j-1] && matchElement(element, parts[j-1])
			}
		}
		reach = next
	}
	return reach[len(parts)]
}

// matchElement compares one element, in which "*" stands for any characters.
func matchElement(pattern, s string) bool {
	pieces := strings.Split(pattern, "*")
	if len(pieces) == 1 {
		return pattern == s
	}
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		_, after, found := strings.Cut(s, piece)
		if !found {
			return false
		}
		s = after
	}
	return true
}

// Restricted says that the source restricts anything.
func (s Source) Restricted() bool { return len(s.Repositories)+len(s.Refs) > 0 }

// AllowsRepository says whether a release may come from the Git repository at
// url. The spellings of one URL count as one; the same place by another scheme is
// another.
func (s Source) AllowsRepository(url string) bool {
	return len(s.Repositories) == 0 || slices.ContainsFunc(s.Repositories, func(allowed string) bool {
		return url != "" && giturl.Normalize(allowed) == giturl.Normalize(url)
	})
}

// AllowsRef says whether a release may come from the Git ref, such as refs/heads/main.
func (s Source) AllowsRef(ref string) bool {
	return len(s.Refs) == 0 || slices.Contains(s.Refs, ref)
}
