package publisher_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/publisher"
	"sealift.dev/verify"
)

// TestTwoBranches: both have a commit 2, and nobody chose the version 0.0.2.
func TestTwoBranches(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	w.git("checkout", "-q", "-b", "feature")
	w.commit("prod/b.yaml", deployment)
	theirs := w.as()
	feature := w.publish(theirs)
	w.git("checkout", "-q", "main")
	w.commit("prod/b.yaml", deployment+"# main\n")
	for name, o := range map[string]publisher.Options{"ours": theirs, "a stranger's": w.as()} {
		var steps []string
		o.Progress = func(step string) { steps = append(steps, step) }
		r := w.publish(o)
		if r.VersionTaken != feature.Reference || !slices.Equal(r.Tags, []string{"main"}) || w.at("main") != r.Digest || w.at("0.0.2") != feature.Digest {
			t.Errorf("%s: %+v", name, r)
		}
		if !slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "0.0.2") && strings.Contains(s, "without") }) {
			t.Errorf("%s: told %q", name, steps)
		}
		if again := w.publish(o); !again.Unchanged || again.VersionTaken != feature.Reference {
			t.Errorf("%s: %+v", name, again)
		}
		data, _ := json.Marshal(r)
		if !strings.Contains(string(data), `"versionTaken":"`) {
			t.Errorf("%s", data)
		}
	}
	// Who chose the version wants to have it.
	o := theirs
	o.Version = "0.0.2"
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is taken by "+feature.Digest) || strings.Contains(err.Error(), "--epoch") {
		t.Error(err)
	}
	w.git("tag", "v0.0.2")
	o.Version = ""
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is taken by "+feature.Digest) {
		t.Error(err)
	}
}

// TestTakenVersion: the error names what differs, and the epoch only where a
// rewritten history is likely.
func TestTakenVersion(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, o *publisher.Options)
		want   string
		epoch  bool
	}{
		"source": {func(_ *world, o *publisher.Options) { o.Source = "https://git.example.com/fork" },
			`org.opencontainers.image.source is "https://git.example.com/acme/deploy" there, and "https://git.example.com/fork" here`, false},
		"ref": {func(w *world, o *publisher.Options) {
			w.git("branch", "release")
			o.Ref, o.Version = "refs/heads/release", "0.0.2"
		},
			`dev.sealift.ref is "refs/heads/main" there, and "refs/heads/release" here`, false},
		"content": {func(_ *world, o *publisher.Options) {
			o.Environments = map[string]v1alpha1.Environment{"dev": folder("prod")}
		},
			"only the content differs", false},
		"rewritten": {func(w *world, _ *publisher.Options) {
			w.git("commit", "-q", "--amend", "--allow-empty", "-m", "another")
		},
			"raise --epoch above 1", true},
		"rewritten, by a stranger": {func(w *world, o *publisher.Options) {
			w.git("commit", "-q", "--amend", "--allow-empty", "-m", "another")
			*o = w.as()
		}, "hint: choose another --version", false},
		"later": {func(w *world, o *publisher.Options) { w.commit("prod/b.yaml", deployment); o.Version = "0.0.2" },
			"hint: choose another --version", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.commit("prod/a.yaml", configMap)
			w.commit()
			o := w.as()
			first := w.publish(o)
			c.change(w, &o)
			writes := w.writes
			_, err := publisher.Publish(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), first.Digest) || w.writes != writes {
				t.Errorf("%v, %d writes", err, w.writes-writes)
			}
			if err != nil && strings.Contains(err.Error(), "--epoch") != c.epoch {
				t.Error(err)
			}
		})
	}
}

// TestSharedChannel: another ref's release is no rewritten history.
func TestSharedChannel(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	o.Channel = "stable"
	w.publish(o)
	w.git("checkout", "-q", "--orphan", "side")
	w.commit("prod/b.yaml", deployment)
	if _, err := publisher.Publish(t.Context(), o); err == nil || strings.Contains(err.Error(), "--epoch") || !strings.Contains(err.Error(), `it is from "refs/heads/main"; give each ref its own --channel`) {
		t.Error(err)
	}
}

func TestForgottenEpoch(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	o.Epoch = 3
	raised := w.publish(o)
	w.commit("prod/b.yaml", deployment)
	o.Epoch = 1
	if r := w.publish(o); r.Superseded != raised.Reference || r.SupersededEpoch != 3 {
		t.Errorf("%+v", r)
	}
	o.Epoch = 3
	if r := w.publish(o); r.Superseded != "" || r.SupersededEpoch != 0 {
		t.Errorf("%+v", r)
	}
}

// hooked does something before or after a tag is written.
type hooked struct {
	*artifact.Registry
	before, after func(tag string)
}

func (h hooked) Tag(ctx context.Context, ref artifact.Ref, tag string) error {
	h.before(tag)
	defer h.after(tag)
	return h.Registry.Tag(ctx, ref, tag)
}

// TestRace lets two publish at once; the channel ends at the newer.
func TestRace(t *testing.T) {
	nothing := func(string) {}
	newWithTwo := func(t *testing.T) (w *world, older, newer publisher.Options) {
		w = newWorld(t)
		first := w.commit("prod/a.yaml", configMap)
		w.commit("prod/b.yaml", deployment)
		newer = w.as()
		older = newer
		older.Rev, older.Ref = first, "refs/heads/main"
		return w, older, newer
	}
	t.Run("the newer publishes while the older does", func(t *testing.T) {
		w, older, newer := newWithTwo(t)
		var r publisher.Result
		older.Registry = hooked{w.registry, func(tag string) {
			if tag == "0.0.1" { // all has been planned, and the channel is next
				r = w.publish(newer)
			}
		}, nothing}
		if o := w.publish(older); w.at("main") != r.Digest || o.Superseded != r.Reference || !slices.Equal(o.Tags, []string{"0.0.1"}) {
			t.Errorf("%+v, main at %s", o, w.at("main"))
		}
	})
	t.Run("the older moves the channel back", func(t *testing.T) {
		w, older, newer := newWithTwo(t)
		o := w.publish(older)
		moves := 0
		newer.Registry = hooked{w.registry, nothing, func(tag string) {
			if moves++; tag == "main" && moves < 4 {
				w.tag("0.0.1", "main")
			}
		}}
		if r := w.publish(newer); w.at("main") != r.Digest || moves < 4 || r.Unchanged || o.Digest == r.Digest {
			t.Errorf("%+v, main at %s after %d moves", r, w.at("main"), moves)
		}
	})
	t.Run("without end", func(t *testing.T) {
		w, older, newer := newWithTwo(t)
		w.publish(older)
		newer.Registry = hooked{w.registry, nothing, func(string) { w.tag("0.0.1", "main") }}
		if _, err := publisher.Publish(t.Context(), newer); err == nil || !strings.Contains(err.Error(), "hint: publish one after the other") {
			t.Error(err)
		}
	})
}

// TestLostSignature: what had to be written again is not unchanged.
func TestLostSignature(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	o := w.as()
	w.publish(o)
	ref, err := w.registry.Resolve(t.Context(), w.repository(), "0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	w.delete(verify.LegacyTag(ref.Digest))
	if r := w.publish(o); r.Unchanged {
		t.Errorf("%+v", r)
	}
	if r := w.publish(o); !r.Unchanged {
		t.Errorf("%+v", r)
	}
}
