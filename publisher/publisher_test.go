package publisher_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

func TestPublish(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	commit := w.commit("prod/b.yaml", deployment, "staging/kustomization.yaml", "resources: [../prod/a.yaml]\nnamespace: x\n")
	w.git("tag", "-a", "v1.2.0", "-m", "x")
	w.git("tag", "v1.10.0-rc.1")
	w.git("tag", "other")
	w.commit("prod/b.yaml", "later\n")
	o := w.as()
	o.Rev, o.Ref = commit, "refs/heads/main"
	o.Environments["staging"] = folder("staging")
	var steps []string
	o.Progress = func(step string) { steps = append(steps, step) }
	r := w.publish(o)
	if r.Unchanged || r.Version != "1.10.0-rc.1" || r.Sequence != 2 || r.Epoch != 1 || r.Revision != "main@sha1:"+commit ||
		!slices.Equal(r.Tags, []string{"1.10.0-rc.1", "main"}) || len(r.Environments) != 2 || r.Environments[0].Objects != 2 ||
		len(r.Images) != 1 || r.Images[0].Tag != "1.0.0" || r.Reference != w.repository().String()+"@"+r.Digest || r.Superseded != "" {
		t.Errorf("published %+v", r)
	}
	if w.at("main") != r.Digest || w.at("1.10.0-rc.1") != r.Digest || len(steps) == 0 {
		t.Errorf("main is at %q after %q", w.at("main"), steps)
	}
	ref, err := w.registry.Resolve(t.Context(), w.repository(), "main")
	if err != nil {
		t.Fatal(err)
	}
	release, err := w.registry.Fetch(t.Context(), ref, artifact.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	s := release.Statement
	if s.Source != "https://git.example.com/acme/deploy" || s.Ref != "refs/heads/main" || s.Commit() != commit ||
		s.Repository != w.repository().String() || s.Created.Format("15:04") != "01:04" {
		t.Errorf("the release states %+v", s)
	}
	if len(release.Files) != 2 || !strings.Contains(string(release.Files[1].Data), "namespace: x") {
		t.Errorf("the release holds %q", release.Files)
	}
	if data, err := json.Marshal(r); err != nil || !strings.Contains(string(data), `"unchanged":false`) || strings.Contains(string(data), "superseded") {
		t.Errorf("%s %v", data, err)
	}
}

func TestPublishTwice(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	first := w.publish(o)
	writes := w.writes
	second := w.publish(o)
	if first.Unchanged || !second.Unchanged || first.Digest != second.Digest || !slices.Equal(first.Tags, second.Tags) || w.writes != writes {
		t.Errorf("first %+v, second %+v, with %d writes", first, second, w.writes-writes)
	}
	if first.Version != "0.0.1" {
		t.Errorf("version %s", first.Version)
	}
}

// TestCrash lets one request after the other fail, and publishes again.
func TestCrash(t *testing.T) {
	for fails := 1; ; fails++ {
		w := newWorld(t)
		w.commit("prod/a.yaml", configMap)
		o := w.as()
		n := 0
		w.fault = func(*http.Request) int {
			if n++; n >= fails {
				return http.StatusInternalServerError
			}
			return 0
		}
		_, err := publisher.Publish(t.Context(), o)
		w.fault = nil
		if err == nil {
			if fails < 10 {
				t.Fatalf("publishing takes %d requests", fails)
			}
			return
		}
		for _, tag := range []string{"main", "0.0.1"} {
			if at := w.at(tag); at != "" {
				ref, _ := w.registry.Resolve(t.Context(), w.repository(), tag)
				if err := o.Verifier.Verify(t.Context(), ref); err != nil {
					t.Errorf("after %d requests %s leads to something unsigned: %v", fails, tag, err)
				}
			}
		}
		done := w.at("main") != "" && w.at("0.0.1") != "" // only reading back has failed
		if r := w.publish(o); r.Unchanged != done || w.at("main") != r.Digest || w.at("0.0.1") != r.Digest {
			t.Errorf("published again after %d requests: %+v", fails, r)
		}
		if !w.publish(o).Unchanged {
			t.Errorf("published again after %d requests, something is left", fails)
		}
	}
}

func TestVersionsNeverMove(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	o.Version = "v2.0.0"
	first := w.publish(o)
	w.commit("prod/b.yaml", deployment)
	writes := w.writes
	_, err := publisher.Publish(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "2.0.0") || !strings.Contains(err.Error(), first.Digest) || !strings.Contains(err.Error(), "hint:") {
		t.Fatal(err)
	}
	if w.writes != writes || w.at("2.0.0") != first.Digest || w.at("main") != first.Digest {
		t.Errorf("%d writes, 2.0.0 at %s, main at %s", w.writes-writes, w.at("2.0.0"), w.at("main"))
	}
	o.Version = "2.0.1"
	if second := w.publish(o); w.at("main") != second.Digest || w.at("2.0.0") != first.Digest {
		t.Errorf("main is at %s", w.at("main"))
	}
}

func TestChannelNeverMovesBack(t *testing.T) {
	w := newWorld(t)
	first := w.commit("prod/a.yaml", configMap)
	w.commit("prod/b.yaml", deployment)
	o := w.as()
	newer := w.publish(o)
	o.Rev, o.Ref = first, "refs/heads/main"
	older := w.publish(o)
	if older.Superseded != newer.Reference || w.at("main") != newer.Digest || w.at("0.0.1") != older.Digest || !slices.Equal(older.Tags, []string{"0.0.1"}) {
		t.Errorf("%+v, main at %s", older, w.at("main"))
	}
	if again := w.publish(o); !again.Unchanged || again.Superseded != newer.Reference {
		t.Errorf("%+v", again)
	}
	o.Epoch = 2
	if raised := w.publish(o); raised.Version != "0.1.1" || raised.Superseded != "" || w.at("main") != raised.Digest {
		t.Errorf("%+v", raised)
	}
}

// TestStrangerCannotHoldTheChannel publishes release 3 with a key that is not ours.
func TestStrangerCannotHoldTheChannel(t *testing.T) {
	w := newWorld(t)
	first := w.commit("prod/a.yaml", configMap)
	w.commit("prod/b.yaml", deployment)
	w.commit("prod/b.yaml", deployment+"# by a stranger\n")
	theirs := w.publish(w.as())
	o := w.as()
	o.Rev, o.Ref = first, "refs/heads/main"
	ours := w.publish(o)
	if ours.Superseded != "" || w.at("main") != ours.Digest || ours.Digest == theirs.Digest {
		t.Errorf("%+v, main at %s", ours, w.at("main"))
	}
	// What is no release of anybody holds nothing, either.
	junk := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	if _, err := w.registry.PutManifest(t.Context(), w.repository(), "main", "application/vnd.oci.image.index.v1+json", junk); err != nil {
		t.Fatal(err)
	}
	if again := w.publish(o); again.Unchanged || w.at("main") != again.Digest {
		t.Errorf("%+v, main at %s", again, w.at("main"))
	}
}

// TestUnavailableIsNotForeign: a release that cannot be read may be ours.
func TestUnavailableIsNotForeign(t *testing.T) {
	w := newWorld(t)
	first := w.commit("prod/a.yaml", configMap)
	w.commit("prod/b.yaml", deployment)
	o := w.as()
	newer := w.publish(o)
	o.Rev, o.Ref = first, "refs/heads/main"
	for _, part := range []string{"/manifests/" + newer.Digest, "/referrers/" + newer.Digest} {
		w.fault = func(r *http.Request) int {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, part) {
				return http.StatusInternalServerError
			}
			return 0
		}
		writes := w.writes
		if r, err := publisher.Publish(t.Context(), o); err == nil || w.writes != writes {
			t.Errorf("%s: %+v, %v, %d writes", part, r, err, w.writes-writes)
		}
	}
}

func TestRewrittenHistoryNeedsAnEpoch(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	o.Version = "1.0.0"
	w.publish(o)
	w.git("commit", "-q", "--amend", "-m", "another")
	o.Version = "1.0.1"
	writes := w.writes
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), "raise --epoch above 1") || w.writes != writes {
		t.Errorf("%v, %d writes", err, w.writes-writes)
	}
	o.Epoch = 2
	if r := w.publish(o); w.at("main") != r.Digest {
		t.Errorf("%+v", r)
	}
	o.Version = "1.0.2" // the same commit under another version moves the channel
	if r := w.publish(o); w.at("main") != r.Digest || r.Superseded != "" {
		t.Errorf("%+v", r)
	}
}

// nobody signs nothing.
type nobody struct{}

func (nobody) Sign(context.Context, artifact.Ref) (bool, error) { return false, nil }

func TestNothingUnsignedIsTagged(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	proper := o.Signer
	for name, s := range map[string]publisher.Signer{"nobody": nobody{}, "a stranger": w.as().Signer} {
		o.Signer = s
		if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), "verifying what was just signed") {
			t.Errorf("signed by %s: %v", name, err)
		}
		if w.at("main") != "" || w.at("0.0.1") != "" {
			t.Errorf("signed by %s, and tagged", name)
		}
	}
	o.Signer = proper
	w.publish(o)
}

func TestRegistryErrors(t *testing.T) {
	for status, want := range map[int]string{401: "hint: log in", 403: "hint: log in", 500: "status 500"} {
		w := newWorld(t)
		w.commit("prod/a.yaml", configMap)
		w.fault = func(*http.Request) int { return status }
		if _, err := publisher.Publish(t.Context(), w.as()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), w.repository().String()) {
			t.Errorf("%d: %v", status, err)
		}
	}
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	o.To.Host = "127.0.0.1:1"
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1/deploy/shop") {
		t.Error(err)
	}
}
