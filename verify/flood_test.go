package verify_test

import (
	"strconv"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/verify"
)

func TestStrangersBesideOurs(t *testing.T) {
	for _, fallback := range []bool{false, true} {
		w, key, stranger := newWorld(t, fallback), ecdsaKey(t), ecdsaKey(t)
		theirs := make([]ocispec.Descriptor, 500)
		for i := range theirs {
			layer := w.blob("shop", verify.BundleType, stranger.bundle(t, statementOf(w.ref.Digest)))
			subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: w.ref.Digest, Size: 1}
			theirs[i] = w.manifest("shop", "", ocispec.Manifest{ArtifactType: verify.BundleType, Subject: &subject, Layers: []ocispec.Descriptor{layer}})
		}
		if fallback {
			w.index(theirs...)
		}
		start := time.Now()
		_, err := w.verify(trust(t, key))
		refused(t, err, verify.Untrusted, "and 63 more")
		w.attach(key.bundle(t, statementOf(w.ref.Digest)))
		if _, err := w.verify(trust(t, key)); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v", took)
		}
	}
}

// Ten thousand descriptors in a tag index: ours is found, or a limit is named.
func TestFloodOfReferrers(t *testing.T) {
	for _, place := range []string{"first", "last"} {
		w, key := newWorld(t, true), ecdsaKey(t)
		if place == "first" {
			w.attach(key.bundle(t, statementOf(w.ref.Digest)))
		}
		flood := make([]ocispec.Descriptor, 9_990)
		config := w.blob("shop", ocispec.MediaTypeEmptyJSON, []byte("{}"))
		for i := range flood {
			flood[i] = w.manifest("shop", "", ocispec.Manifest{ArtifactType: verify.BundleType, Config: config,
				Annotations: map[string]string{"n": strconv.Itoa(i)}})
		}
		w.index(flood...)
		if place == "last" {
			w.attach(key.bundle(t, statementOf(w.ref.Digest)))
		}
		start := time.Now()
		_, err := w.verify(trust(t, key))
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		if place == "first" && err != nil {
			t.Error(err)
		}
		if place == "last" {
			refused(t, err, verify.Untrusted, "the limit of 1024 signatures")
		}
	}
}

// One manifest listed many times is one candidate.
func TestRepeatedReferrer(t *testing.T) {
	w, key := newWorld(t, true), ecdsaKey(t)
	w.attach(ecdsaKey(t).bundle(t, statementOf(w.ref.Digest)))
	d := w.refer(ocispec.Manifest{ArtifactType: verify.BundleType})
	many := make([]ocispec.Descriptor, 2000)
	for i := range many {
		many[i] = d
	}
	w.index(many...)
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	if _, err := w.verify(trust(t, key)); err != nil {
		t.Error(err)
	}
}

func TestFloodOfLegacyLayers(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	ours, theirs := w.legacy(key, payloadOf(w.ref)), w.legacy(ecdsaKey(t), payloadOf(w.ref))
	many := make([]ocispec.Descriptor, 5000)
	for i := range many {
		many[i] = theirs
	}
	named := with(trust(t, key), legacyOnly)
	w.note(append([]ocispec.Descriptor{ours}, many...)...)
	if _, err := w.verify(named); err != nil {
		t.Error(err)
	}
	w.note(append(many, ours)...)
	start := time.Now()
	_, err := w.verify(named)
	refused(t, err, verify.Untrusted, "the limit of 1024 signatures")
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}
