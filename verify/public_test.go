package verify_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// tufRepository serves one target, trusted_root.json, as a TUF repository does.
type tufRepository struct {
	url      string
	root     []byte
	asked    atomic.Int64
	down     atomic.Bool
	contents map[string][]byte
}

func newTUF(t *testing.T, trustedRoot []byte) *tufRepository {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := must(signature.LoadSigner(private, crypto.Hash(0)))
	key := must(metadata.KeyFromPublicKey(public))
	later := time.Now().Add(time.Hour)
	root := metadata.Root(later)
	for _, role := range []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS} {
		if err := root.Signed.AddKey(key, role); err != nil {
			t.Fatal(err)
		}
	}
	targets := metadata.Targets(later)
	file := must(metadata.TargetFile().FromBytes("trusted_root.json", trustedRoot, "sha256"))
	targets.Signed.Targets["trusted_root.json"] = file
	snapshot, stamp := metadata.Snapshot(later), metadata.Timestamp(later)
	for _, sign := range []func(signature.Signer) (*metadata.Signature, error){root.Sign, targets.Sign, snapshot.Sign, stamp.Sign} {
		must(sign(signer))
	}
	r := &tufRepository{root: must(root.ToBytes(false)), contents: map[string][]byte{
		"/timestamp.json": must(stamp.ToBytes(false)), "/1.snapshot.json": must(snapshot.ToBytes(false)), "/1.targets.json": must(targets.ToBytes(false)),
		"/targets/" + file.Hashes["sha256"].String() + ".trusted_root.json": trustedRoot,
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asked.Add(1)
		data, ok := r.contents[req.URL.Path]
		switch {
		case r.down.Load():
			http.Error(w, "down", http.StatusServiceUnavailable)
		case !ok:
			http.NotFound(w, req)
		default:
			_, _ = w.Write(data)
		}
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func TestPublicRoot(t *testing.T) {
	for name, verdicts := range map[string]int{"every verdict anew": -1, "verdicts remembered": 0} {
		t.Run(name, func(t *testing.T) { testPublicRoot(t, verdicts) })
	}
}

func testPublicRoot(t *testing.T, verdicts int) {
	i := newInstance(t)
	tuf := newTUF(t, i.root())
	now := time.Now()
	var begun, over atomic.Int64
	waiting := func(context.Context) func() {
		begun.Add(1)
		return func() { over.Add(1) }
	}
	v, err := verify.New(verify.Options{Verdicts: verdicts, Now: func() time.Time { return now }, Waiting: waiting,
		Public: &verify.PublicRoot{Mirror: tuf.url, Root: tuf.root, Cache: t.TempDir(), Transport: http.DefaultTransport}})
	if err != nil {
		t.Fatal(err)
	}
	w, key := newWorld(t, false), ecdsaKey(t)
	ask := func(named verify.NamedPolicy) error {
		_, err := v.Release(t.Context(), w.registry, w.ref, []verify.NamedPolicy{named}, verify.Claim{})
		return err
	}
	either := with(byIdentity(), func(p *policy.Policy) {
		p.Authorities = append(p.Authorities, policy.Authority{Name: "manager", Key: &policy.Key{Data: key.pem(t)}})
	})

	tuf.down.Store(true)
	refused(t, ask(byIdentity()), verify.NotSigned)
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	w.attach(i.sign(ci(), statementOf(w.ref.Digest), witnesses{}))
	if err := ask(either); err != nil {
		t.Errorf("signed with the key: %v", err)
	}
	if asked := tuf.asked.Load(); asked != 0 || begun.Load() != 0 {
		t.Errorf("the mirror was asked %d times, and nothing needed it", asked)
	}
	refused(t, ask(byIdentity()), verify.Unavailable, tuf.url, "--trusted-root")
	if begun.Load() != 1 || over.Load() != 1 {
		t.Errorf("told of %d waits for the mirror, and the end of %d", begun.Load(), over.Load())
	}
	if err := ask(either); err != nil {
		t.Errorf("signed with the key, and the mirror is down: %v", err)
	}
	asked := tuf.asked.Load()
	refused(t, ask(byIdentity()), verify.Unavailable, tuf.url)
	if tuf.asked.Load() != asked {
		t.Error("a mirror that is down is asked again at once")
	}

	tuf.down.Store(false)
	now = now.Add(time.Minute)
	if err := ask(byIdentity()); err != nil {
		t.Fatal(err)
	}
	asked = tuf.asked.Load()
	if err := ask(byIdentity()); err != nil || tuf.asked.Load() != asked {
		t.Errorf("asked %d times more, %v", tuf.asked.Load()-asked, err)
	}
	tuf.down.Store(true)
	now = now.Add(25 * time.Hour)
	if err := ask(byIdentity()); err != nil {
		t.Errorf("a day old, and the mirror is down: %v", err)
	}
	now = now.Add(7 * 24 * time.Hour)
	refused(t, ask(byIdentity()), verify.Unavailable, tuf.url)
}

func TestForeignPublicRoot(t *testing.T) {
	i := newInstance(t)
	tuf := newTUF(t, i.root())
	w := newWorld(t, false)
	w.attach(i.sign(ci(), statementOf(w.ref.Digest), witnesses{}))
	for name, o := range map[string]verify.PublicRoot{
		"another repository's keys": {Mirror: tuf.url, Root: newTUF(t, i.root()).root},
		"no such host":              {Mirror: "http://127.0.0.1:1", Root: tuf.root},
		"rubbish":                   {Mirror: tuf.url, Root: []byte("{}")},
		"a mirror that is no URL":   {Mirror: "\x00", Root: tuf.root},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.judge(verify.Options{Public: &o}, byIdentity())
			refused(t, err, verify.Unavailable, "fetching the trusted root")
		})
	}
	for _, cache := range []string{"", "/dev/null/no/folder"} {
		if _, err := w.judge(verify.Options{Public: &verify.PublicRoot{Mirror: tuf.url, Root: tuf.root, Cache: cache}}, byIdentity()); err != nil {
			t.Errorf("cache %q: %v", cache, err)
		}
	}
}

func TestTrustedRootThatIsNone(t *testing.T) {
	good := string(newInstance(t).root())
	for name, data := range map[string]string{
		"rubbish": "{", "another document": `{"mediaType":"x"}`, "twice": strings.Replace(good, `"tlogs":`, `"tlogs":[],"tlogs":`, 1),
		"a certificate of blanks": strings.Replace(good, `"rawBytes":"MII`, `"rawBytes":"AAA`, 1), "large": good + strings.Repeat(" ", 1<<20),
		"not JSON behind": good + "x",
	} {
		if _, err := verify.New(verify.Options{TrustedRoot: []byte(data)}); err == nil || !strings.Contains(err.Error(), "reading the trusted root") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := verify.New(verify.Options{TrustedRoot: []byte(good)}); err != nil {
		t.Error(err)
	}
}
