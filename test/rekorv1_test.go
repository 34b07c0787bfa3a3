package test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

// rekorV1 answers as a log of version 1 does, with real signatures and proofs, each of a
// tree of its own with one leaf. The first answer is lost: the entry is there, but
// whoever sent it does not know, and is told of the conflict when it comes again.
type rekorV1 struct {
	keys    *ca.VirtualSigstore
	id      string
	entries map[string]models.LogEntry
	lose    bool
}

func startRekorV1(t *testing.T) (url string, log *root.TransparencyLog) {
	t.Helper()
	keys, err := ca.NewVirtualSigstore()
	must(t, err)
	id, err := keys.RekorLogID()
	must(t, err)
	server := httptest.NewServer(&rekorV1{keys: keys, id: id, entries: map[string]models.LogEntry{}, lose: true})
	t.Cleanup(server.Close)
	raw, err := hex.DecodeString(id)
	must(t, err)
	virtual := keys.RekorLogs()[id]
	return server.URL, &root.TransparencyLog{
		BaseURL: virtual.BaseURL, ID: raw, PublicKey: virtual.PublicKey, HashFunc: virtual.HashFunc, SignatureHashFunc: virtual.SignatureHashFunc,
		ValidityPeriodStart: virtual.ValidityPeriodStart,
	}
}

func (l *rekorV1) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	const path = "/api/v1/log/entries"
	if uuid, found := strings.CutPrefix(r.URL.Path, path+"/"); found {
		json.NewEncoder(w).Encode(l.entries[uuid])
		return
	}
	body, entry, err := l.add(r)
	if err != nil || r.URL.Path != path {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"code": 400, "message": %q}`, fmt.Sprint(err))
		return
	}
	uuid := fmt.Sprintf("%x", body)[:64]
	w.Header().Set("ETag", uuid)
	w.Header().Set("Location", path+"/"+uuid)
	if l.entries[uuid] != nil {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"code": 409, "message": "there is one"}`)
		return
	}
	l.entries[uuid] = models.LogEntry{uuid: *entry}
	if l.lose {
		l.lose = false
		w.WriteHeader(http.StatusGatewayTimeout)
		return
	}
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(l.entries[uuid])
}

// add makes an entry of what is proposed; its UUID comes from the body.
func (l *rekorV1) add(r *http.Request) (uuid []byte, entry *models.LogEntryAnon, err error) {
	proposed, err := models.UnmarshalProposedEntry(r.Body, runtime.JSONConsumer())
	if err != nil {
		return nil, nil, err
	}
	versioned, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return nil, nil, err
	}
	body, err := types.CanonicalizeEntry(r.Context(), versioned)
	if err != nil {
		return nil, nil, err
	}
	proof, err := l.keys.GetInclusionProof(body)
	if err != nil {
		return nil, nil, err
	}
	now, index, encoded := time.Now().Unix(), int64(0), base64.StdEncoding.EncodeToString(body)
	promise, err := l.keys.RekorSignPayload(tlog.RekorPayload{Body: encoded, IntegratedTime: now, LogIndex: index, LogID: l.id})
	if err != nil {
		return nil, nil, err
	}
	leaf, err := hex.DecodeString(*proof.RootHash) // of one leaf, it is the leaf's own
	return leaf, &models.LogEntryAnon{Body: encoded, IntegratedTime: &now, LogIndex: &index, LogID: &l.id,
		Verification: &models.LogEntryAnonVerification{SignedEntryTimestamp: promise, InclusionProof: proof}}, err
}

// withRekorV1 gives the rig an instance whose log is of version 1, with no timestamp
// authority: the log's time counts.
func (r *signingRig) withRekorV1() (signingConfig, trustedRoot string) {
	r.t.Helper()
	url, log := startRekorV1(r.t)
	trusted, err := root.NewTrustedRootFromPath(r.sigstore.TrustedRoot)
	must(r.t, err)
	logs := maps.Clone(trusted.RekorLogs())
	logs[hex.EncodeToString(log.ID)] = log
	trusted, err = root.NewTrustedRoot(root.TrustedRootMediaType01, trusted.FulcioCertificateAuthorities(), trusted.CTLogs(), trusted.TimestampingAuthorities(), logs)
	must(r.t, err)
	data, err := trusted.MarshalJSON()
	must(r.t, err)
	trustedRoot, signingConfig = filepath.Join(r.dir, "root-v1.json"), filepath.Join(r.dir, "config-v1.json")
	must(r.t, os.WriteFile(trustedRoot, data, 0o600))
	must(r.t, os.WriteFile(signingConfig, []byte(fmt.Sprintf(`{"mediaType": %q, "caUrls": [{"url": %q, "majorApiVersion": 1}],
		"rekorTlogUrls": [{"url": %q, "majorApiVersion": 1}], "rekorTlogConfig": {"selector": "ANY"}}`, root.SigningConfigMediaType02, r.sigstore.Fulcio, url)), 0o600))
	return signingConfig, trustedRoot
}

// TestKeylessWithRekorV1: both formats are written, and each is verified by itself.
func TestKeylessWithRekorV1(t *testing.T) {
	r := newSigningRig(t)
	signingConfig, trustedRoot := r.withRekorV1()
	const subject = "https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main"
	env := []string{"SIGSTORE_ID_TOKEN=" + r.token("github", nil)}
	flags := []string{"--signing-config", signingConfig, "--trusted-root", trustedRoot}
	_, err := r.publish("v1", env, flags...)
	must(t, err)
	ref := r.registry.Host + "/v1:main"
	for _, format := range []string{"bundle", "legacy"} {
		for _, who := range []string{subject, subject + ".evil"} {
			policy := filepath.Join(r.dir, "policy.yaml")
			must(t, os.WriteFile(policy, []byte(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: ci}\nspec:\n  formats: [%s]\n  authorities:\n    - name: ci\n      keyless: {issuer: %q, subject: %q}\n",
				format, r.sigstore.Issuers["github"], who)), 0o600))
			out, err := r.run(nil, "sealift", "verify", "oci://"+ref, "--plain-http", "--policy", policy, "--trusted-root", trustedRoot)
			if (err == nil) != (who == subject) {
				t.Errorf("the format %s by %s: %v, %s", format, who, err, out)
			}
		}
	}
	who := []string{"--certificate-identity", subject, "--certificate-oidc-issuer", r.sigstore.Issuers["github"], "--trusted-root", trustedRoot, ref}
	for _, command := range [][]string{{"cosign3", "verify"}, {"cosign2", "verify"}, {"cosign3", "verify", "--new-bundle-format=false"}, {"cosign2", "verify", "--new-bundle-format=false"}} {
		if _, err := r.run(nil, command[0], append(command[1:], who...)...); err != nil {
			t.Errorf("%v: %v", command, err)
		}
	}
	out, err := r.publish("v1", env, flags...)
	if err != nil || !strings.Contains(out, "unchanged ") {
		t.Errorf("publishing again: %v, %s", err, out)
	}
}
