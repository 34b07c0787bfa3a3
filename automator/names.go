package automator

import (
	"path"
	"strings"

	"sealift.dev/automator/remote"
)

func isMarkerName(s string) bool {
	return s != "" && len(s) <= maxNameLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

// isPlainPath says that p leads from the root of the tree to a file in it.
func isPlainPath(p string) bool {
	return p != "" && p != "." && len(p) <= 4096 && path.Clean(p) == p && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../") && remote.OddPath(p) == ""
}

// isBranchName is what git check-ref-format says of refs/heads/NAME.
func isBranchName(name string) bool {
	if name == "" || len(name) > maxNameLength || name == "@" || strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.ContainsAny(name, " ~^:?*[\\\x7f") ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return false
	}
	for _, part := range strings.Split(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
