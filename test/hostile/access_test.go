package hostile

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sealift.dev/test/stage"
)

// challenged is a vector of a registry that wants a token from the realm that
// hostile or benign gives, and the stranger beside it. Whatever comes of it, the
// stranger is told nothing.
func challenged(name, reason, text string, hostile, benign func(w *world) string) vector {
	return vector{name, func(w *world, bad bool) {
		w.password = secret
		w.publish()
		realm := pick(bad, hostile, benign)(w)
		w.guard(func(rw http.ResponseWriter) {
			rw.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="s"`, realm))
		})
	}, "resolve", reason, text, false, ""}
}

// guard makes the registry refuse who does not bring the token "t", in its words.
func (w *world) guard(challenge func(http.ResponseWriter)) {
	for _, path := range []string{w.manifestPath("main"), w.manifestPath(w.ref.Digest.String())} {
		w.s.On("", path, stage.Answer{Do: func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer t" {
				challenge(rw)
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
			rw.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			rw.Header().Set("Docker-Content-Digest", w.ref.Digest.String())
			_, _ = rw.Write(w.manifest)
		}})
	}
}

// tokens is a token server at the registry's own address.
func tokens(w *world) string {
	w.s.On("", "/token", stage.Answer{Body: []byte(`{"token":"t"}`)})
	return w.s.URL() + "/token"
}

// stranger is a token server that must never be asked.
func stranger(w *world) string {
	c := w.canary(true)
	c.On("", "*", stage.Answer{Body: []byte(`{"token":"t"}`)})
	return "http://" + c.Host + "/token"
}

func realm(text string) func(*world) string { return func(*world) string { return text } }

// answering is a token server at the registry's own address that answers so.
func answering(a stage.Answer) func(w *world) string {
	return func(w *world) string {
		w.s.On("", "/token", a)
		return w.s.URL() + "/token"
	}
}

func TestAccess(t *testing.T) {
	runAll(t, Access, []vector{
		challenged("realm on another host", "Unauthorized", "another host", stranger, tokens),
		challenged("realm on a metadata address", "Unauthorized", "another host", realm("http://169.254.169.254/token"), tokens),
		{"realm by plain HTTP", func(w *world, hostile bool) {
			w.password = secret
			w.publish()
			at := pick(hostile, strings.Replace(tokens(w), "https:", "http:", 1), tokens(w))
			w.guard(func(rw http.ResponseWriter) { rw.Header().Set("Www-Authenticate", `Bearer realm="`+at+`"`) })
		}, "resolve", "Unauthorized", "no acceptable address", true, ""},
		challenged("realm by a name that resolves to loopback", "Unauthorized", "another host", stranger, tokens),
		challenged("realm that is a file", "Unauthorized", "no acceptable address", realm("file:///etc/passwd"), tokens),
		challenged("realm with a user", "Unauthorized", "no acceptable address", func(w *world) string { return strings.Replace(tokens(w), "http://", "http://x@", 1) }, tokens),
		challenged("realm with a backslash", "Unauthorized", "no acceptable address", func(w *world) string { return `http:\\` + w.s.Host + "/token" }, tokens),
		challenged("token answer of 1 GiB", "Unavailable", "token", answering(stage.Answer{Stream: func(ctx context.Context, out io.Writer) error {
			if _, err := io.WriteString(out, `{"token":"`); err != nil {
				return err
			}
			return endless(ctx, out, []byte(strings.Repeat("x", 1<<16)))
		}}), tokens),
		challenged("token with a newline", "Unavailable", "header", answering(stage.Answer{Body: []byte(`{"token":"t\r\nX-Evil: yes"}`)}), tokens),
		challenged("token server that redirects to another host", "Unavailable", "", func(w *world) string {
			c := w.canary(false)
			c.On("", "*", stage.Answer{Status: http.StatusInternalServerError})
			return answering(stage.Answer{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://" + c.Host + "/token"}}})(w)
		}, tokens),
		{"redirect loop", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				w.s.On("", w.manifestPath("main"), stage.Answer{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {w.manifestPath("main")}}})
			}
		}, "resolve", "Unavailable", "redirects", false, ""},
		{"challenge loop", func(w *world, hostile bool) {
			w.password = secret
			w.publish()
			at, turns := tokens(w), 0
			if hostile {
				at = answering(stage.Answer{Body: []byte(`{"token":"another"}`)})(w)
			}
			w.t.Cleanup(func() {
				if turns > 12 {
					w.t.Errorf("%d challenges were met", turns)
				}
			})
			w.guard(func(rw http.ResponseWriter) {
				turns++
				rw.Header().Set("Www-Authenticate", `Bearer realm="`+at+`",service="s"`)
			})
		}, "resolve", "Unauthorized", "hint: log in", false, ""},
		{"second challenge of a stranger", func(w *world, hostile bool) {
			w.password = secret
			w.publish()
			at := pick(hostile, stranger, tokens)(w)
			w.guard(func(rw http.ResponseWriter) {
				rw.Header()["Www-Authenticate"] = []string{`Bearer realm="` + at + `",service="s"`, `Basic realm="x"`}
			})
		}, "resolve", "Unauthorized", "another host", false, ""},
	})
}
