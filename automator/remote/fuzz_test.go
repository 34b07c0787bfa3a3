package remote

import (
	"bytes"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// FuzzAnswers reads arbitrary bytes as each answer that a server gives.
func FuzzAnswers(f *testing.F) {
	answer := func(lines ...string) []byte {
		var r request
		for _, line := range lines {
			if line == "" {
				r.mark(flush)
				continue
			}
			r.line("%s", line)
		}
		return r.Bytes()
	}
	const id = "1234567890123456789012345678901234567890"
	pack := packed(packEntry(plumbing.BlobObject, 3, nil, []byte("abc"))).String()
	f.Add(answer("# service=git-upload-pack\n", "", "version 2\n", "fetch=shallow filter\n", "object-format=sha1\n", ""))
	f.Add(answer(id+" HEAD\x00symref=HEAD:refs/heads/main agent=git filter\n", id+" refs/heads/main\n", "shallow "+id, ""))
	f.Add(answer("version 1\n", id+" capabilities^{}\x00report-status side-band-64k\n", ""))
	f.Add(answer(id+" HEAD symref-target:refs/heads/main\n", "unborn HEAD symref-target:refs/heads/x\n", ""))
	f.Add(answer("shallow-info\n", "shallow "+id+"\n", "packfile\n", "\x02hello", "\x01"+pack, ""))
	f.Add(answer("shallow "+id, "", "NAK\n", "\x01"+pack, ""))
	f.Add(answer("\x01"+string(answer("unpack ok\n", "ok refs/heads/main\n", "ng refs/x no\n", "")), ""))
	f.Add([]byte("000fERR no push"))
	f.Fuzz(func(t *testing.T, input []byte) {
		limits := Limits{Objects: 100, Object: 1 << 16, Total: 1 << 18, File: 1 << 10}
		g, err := readGreeting(bytes.NewReader(input))
		if err == nil && (g.version != 0 && g.version != 2 || g.can == nil) {
			t.Errorf("%+v", g)
		}
		if writer, werr := readAbilities(bytes.NewReader(input)); err == nil && werr == nil && len(g.refs) > 0 && len(writer.can) != len(g.can) {
			t.Errorf("%+v, %v, and as a whole %+v", writer, werr, g)
		}
		if _, head, err := readRefs(newPackets(bytes.NewReader(input))); err != nil && head != "" {
			t.Errorf("%q and %v", head, err)
		}
		all := &greeting{can: map[string]string{"side-band-64k": ""}}
		if p, err := packOfV2(newPackets(bytes.NewReader(input))); err == nil {
			checkObjects(t, p, limits)
		}
		for _, g := range []*greeting{all, {can: map[string]string{}}} {
			if p, err := packOfV0(g, newPackets(bytes.NewReader(input))); err == nil {
				checkObjects(t, p, limits)
			}
			if report, said, err := readReport(g, bytes.NewReader(input)); err == nil && report == nil || len(said) > 400 {
				t.Errorf("%v, %d bytes said, %v", report, len(said), err)
			}
		}
		if entries, err := parseTree(input); err == nil && !bytes.Equal(encodeTree(entries), input) {
			t.Errorf("a folder of %d entries becomes another", len(entries))
		}
	})
}

func checkObjects(t *testing.T, pack interface{ Read([]byte) (int, error) }, limits Limits) {
	got, err := unpack(t.Context(), pack, nil, limits)
	if err != nil {
		return
	}
	total := 0
	for id, o := range got {
		if total += len(o.data); o.data != nil && plumbing.ComputeHash(o.kind, o.data) != id {
			t.Errorf("%s is called %s", plumbing.ComputeHash(o.kind, o.data), id)
		}
	}
	if len(got) > limits.Objects || int64(total) > limits.Total {
		t.Errorf("%d objects of %d bytes", len(got), total)
	}
}
