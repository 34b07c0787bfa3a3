package hostile

import (
	"archive/tar"
	"fmt"
	"io"
	"strings"
	"testing"
)

// written is a vector of the text of prod/objects.yaml.
func written(name, reason, text, bad, benign string) vector {
	return vector{name, func(w *world, hostile bool) {
		w.layer = zipped(w.t, archive(w.t, file("prod/objects.yaml", pick(hostile, bad, benign))))
		w.publish()
	}, "decode", reason, text, false, ""}
}

// laughs are n levels of ten aliases each, the first of which is x.
func laughs(n int) string {
	text := "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < n; i++ {
		text += fmt.Sprintf("l%d: &l%d [%s*l%d]\n", i, i, strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 9), i-1)
	}
	return text
}

func TestYAML(t *testing.T) {
	repeat, pod := strings.Repeat, func(metadata string) string { return "apiVersion: v1\nkind: Pod\nmetadata: {" + metadata + "}\n" }
	list := func(child string) string { return "apiVersion: v1\nkind: List\nitems: [" + child + "]\n" }
	const child = "{apiVersion: v1, kind: Pod, metadata: {name: b}}"
	runAll(t, YAML, []vector{
		written("billion laughs", "Limit", "aliases are expanded", good+laughs(9), good+laughs(3)),
		written("quadratic aliases", "Limit", "aliases are expanded", good+"a: &a "+repeat("x", 100_000)+"\nb: ["+repeat("*a, ", 10_000)+"]\n", good+"a: &a "+repeat("x", 100)+"\nb: ["+repeat("*a, ", 100)+"]\n"),
		written("alias cycle", "Invalid", "contains itself", good+"a: &a [*a]\n", good+"a: &a []\nb: *a\n"),
		written("alias cycle over two", "Invalid", "contains itself", good+"a: &a {b: &b [*a]}\n", good+"a: &a {b: &b []}\nc: [*a, *b]\n"),
		written("100,000 brackets deep", "Invalid", "depth", good+"a: "+repeat("[", 100_000)+repeat("]", 100_000), good+"a: "+repeat("[", 90)+repeat("]", 90)),
		written("101 levels deep", "Limit", "levels deep", good+"a: "+repeat("[", 101)+repeat("]", 101), good+"a: "+repeat("[", 90)+repeat("]", 90)),
		written("100,000 documents", "Limit", "more than 1000000 values", good+documents(100_000), good+documents(1_000)),
		written("20,001 documents", "Limit", "more than 20000 documents", good+documents(20_001), good+documents(1_000)),
		{"scalar of 256 MiB", func(w *world, hostile bool) {
			w.layer = scalar(w.t, pick(hostile, 256<<20, 1<<20))
			w.publish()
		}, "pull", "Limit", "more than 16777216", false, ""},
		written("scalar of 5 MiB", "Limit", "more than 4194304 bytes", good+"data: {a: "+repeat("x", 5<<20)+"}\n", good+"data: {a: "+repeat("x", 1<<20)+"}\n"),
		written("400,000 values", "Limit", "more than 300000 values", good+"data: {a: ["+repeat("[],", 100_000)+"]}\n", good+"data: {a: ["+repeat("[],", 74_000)+"]}\n"),
		written("300,000 empty values", "Limit", "more than 300000 values", good+"data:\n"+repeat("- a: \n", 60_000), good+"data:\n"+repeat("- a: \n", 49_000)),
		written("dashes", "Limit", "more than 1000000 values", good+"data:\n"+repeat(repeat("- ", 90)+"a\n", 20_000), good+"data:\n"+repeat(repeat("- ", 90)+"a\n", 1_600)),
		{"values in many files", func(w *world, hostile bool) {
			entries := []entry{file("prod/objects.yaml", good)}
			for i := range pick(hostile, 8, 3) {
				entries = append(entries, file(fmt.Sprintf("prod/x%d.yaml", i), strings.Replace(good, "name: a", fmt.Sprintf("name: b%d", i), 1)+"data: ["+repeat("{},", 59_000)+"]\n"))
			}
			w.layer = zipped(w.t, archive(w.t, entries...))
			w.publish()
		}, "decode", "Limit", "more than 1000000 values", false, ""},
		{"20 MiB of texts", func(w *world, hostile bool) {
			entries := []entry{file("prod/objects.yaml", good)}
			for i := range pick(hostile, 5, 3) {
				entries = append(entries, file(fmt.Sprintf("prod/x%d.yaml", i), strings.Replace(good, "name: a", fmt.Sprintf("name: b%d", i), 1)+"data: {a: "+repeat("x", 4<<20-100)+"}\n"))
			}
			w.layer = zipped(w.t, archive(w.t, entries...))
			w.publish()
		}, "decode", "Limit", "more than 16777216 bytes", false, ""},
		written("duplicate keys", "Invalid", "is there twice", good+"data: {a: b}\ndata: {c: d}\n", good+"data: {a: b}\ndate: {c: d}\n"),
		written("duplicate keys by type", "Invalid", "is there twice", good+"data: {1: b, \"1\": d}\n", good+"data: {1: b, \"2\": d}\n"),
		written("duplicate keys in JSON in YAML", "Invalid", "is there twice", `{"apiVersion": "v1", "kind": "Pod", "kind": "ConfigMap", "metadata": {"name": "a"}}`, `{"apiVersion": "v1", "kind": "Pod", "Kind": "ConfigMap", "metadata": {"name": "a"}}`),
		written("merge key that smuggles a namespace", "Invalid", "merge key in metadata", "x: &x {namespace: kube-system}\n"+pod("name: a, <<: *x"), "x: &x {namespace: kube-system}\n"+pod("name: a, y: *x")),
		written("merge key that smuggles a kind", "Invalid", "merge key at the top", "x: &x {kind: Secret}\napiVersion: v1\n<<: *x\nmetadata: {name: a}\n", "x: &x {kind: Secret}\napiVersion: v1\nkind: Pod\ny: *x\nmetadata: {name: a}\n"),
		written("merge key in a list's item", "Invalid", "merge key in metadata", list("{apiVersion: v1, kind: Pod, metadata: {name: b, <<: {namespace: kube-system}}}"), list(child)),
		written("UTF-16", "Invalid", "not UTF-8", "\xff\xfe"+repeat("a\x00", 100), good),
		written("NUL", "Invalid", "control character U+0000", good+"data: {a: \"\x00\"}\n", good+"data: {a: \"0\"}\n"),
		written("control characters", "Invalid", "control character U+001B", good+"data: {a: \"\x1b[31m\"}\n", good+"data: {a: \"[31m\"}\n"),
		written("list with a forbidden child", "Invalid", "ownerReferences", list("{apiVersion: v1, kind: Pod, metadata: {name: b, ownerReferences: [{uid: x}]}}"), list(child)),
		written("lists 1,000 deep", "Limit", "levels deep", nested(1_000, child), nested(20, child)),
		written("missing name", "Invalid", "without metadata.name", pod(""), pod("name: a")),
		written("generateName", "Invalid", "generateName", pod("generateName: a-"), pod("name: a-")),
		written("owner references", "Invalid", "ownerReferences", pod("name: a, ownerReferences: [{apiVersion: v1, kind: Pod, name: b, uid: x}]"), pod("name: a")),
		written("name with a slash", "Invalid", "is not a name", pod("name: a/b"), pod("name: a.b")),
		written("name with an escaped slash", "Invalid", "is not a name", pod("name: a%2fb"), pod("name: a2fb")),
		written("name of dots", "Invalid", "is not a name", pod("name: .."), pod("name: a..")),
		written("namespace of dots", "Invalid", "is not a namespace", pod("name: a, namespace: ../kube-system"), pod("name: a, namespace: kube-system")),
		written("name with escape codes", "Invalid", "is not a name", pod(`name: "a\e[2J"`), pod(`name: "a2J"`)),
		written("name yes", "Invalid", "not a string", pod("name: yes"), pod("name: 'yes'")),
		written("name 0x1F", "Invalid", "not a string", pod("name: 0x1F"), pod("name: '0x1f'")),
		written("name 1e3", "Invalid", "not a string", pod("name: 1e3"), pod("name: '1e3'")),
		written("name 012", "Invalid", "not a string", pod("name: 012"), pod("name: '012'")),
		written("PNG named .yaml", "Invalid", "not UTF-8", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", good),
		written("object there twice", "Invalid", "is there twice", good+"---\n"+good, good+"---\n"+strings.Replace(good, "name: a", "name: b", 1)),
		written("second document without a marker", "Invalid", "second document", good+"...\n"+good, good+"...\n"),
		{"status, uid and managedFields", func(w *world, hostile bool) {
			w.layer = zipped(w.t, archive(w.t, file("prod/objects.yaml", pick(hostile, pod("name: a, uid: x, managedFields: [{manager: kubectl}], deletionTimestamp: 2020-01-01T00:00:00Z, finalizers: [x/y]")+"status: {phase: Running}\n", pod("name: a")))))
			w.publish()
		}, "", "", "", false, ""},
	})
}

func documents(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: Pod, metadata: {name: p%d}}\n", i)
	}
	return b.String()
}

func nested(n int, child string) string {
	return strings.Repeat("{apiVersion: v1, kind: List, items: [", n) + child + strings.Repeat("]}", n) + "\n"
}

// scalar is a layer with a text of n bytes in one file.
func scalar(t *testing.T, n int) []byte {
	t.Helper()
	head := good + "data:\n  a: "
	return zip(t, func(out io.Writer) error { return writeScalar(out, head, n) })
}

func writeScalar(out io.Writer, head string, n int) error {
	w := tar.NewWriter(out)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "prod/objects.yaml", Mode: 0o644, Size: int64(len(head) + n)}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	chunk := []byte(strings.Repeat("x", 1<<20))
	for range n / len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
	return w.Close()
}
