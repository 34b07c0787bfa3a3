package publisher_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

// TestRefuses changes one thing of what can be published. Nothing may be written.
func TestRefuses(t *testing.T) {
	type changed struct {
		*world
		o publisher.Options
	}
	for name, c := range map[string]struct {
		change func(w *changed)
		want   string
	}{
		"no repository":    {func(w *changed) { w.o.Dir = t.TempDir() }, "no Git repository is there or above it"},
		"unknown revision": {func(w *changed) { w.o.Rev = "nothing" }, `has no commit "nothing"`},
		"detached":         {func(w *changed) { w.git("checkout", "-q", "--detach") }, "hint: name it with --ref"},
		"a tag":            {func(w *changed) { w.git("tag", "x"); w.o.Rev = "x" }, "hint: name it with --ref"},
		"short ref":        {func(w *changed) { w.o.Ref = "main" }, "hint: write refs/heads/BRANCH"},
		"odd ref":          {func(w *changed) { w.o.Ref = "refs/heads/a b" }, "hint: write refs/heads/BRANCH"},
		"another branch":   {func(w *changed) { w.git("branch", "side"); w.commit(); w.o.Ref = "refs/heads/side" }, "is not one of refs/heads/side itself"},
		"branch of origin": {func(w *changed) {
			w.git("update-ref", "refs/remotes/origin/side", "HEAD")
			w.commit()
			w.o.Ref = "refs/heads/side"
		}, "is not one of refs/heads/side itself"},
		"unknown branch":      {func(w *changed) { w.o.Ref = "refs/heads/none" }, "hint: git fetch origin +refs/heads/none:refs/remotes/origin/none"},
		"unknown tag":         {func(w *changed) { w.o.Ref = "refs/tags/none" }, "hint: git fetch origin +refs/tags/none:refs/tags/none"},
		"another's branch":    {func(w *changed) { w.git("update-ref", "refs/remotes/fork/x", "HEAD"); w.o.Ref = "refs/heads/x" }, "the clone has no refs/heads/x"},
		"nowhere":             {func(w *changed) { w.o.To = artifact.Repository{} }, "hint: --to"},
		"no environment":      {func(w *changed) { w.o.Environments = nil }, "hint: --environment"},
		"environment's name":  {func(w *changed) { w.o.Environments["../x"] = folder("prod") }, `"../x" is not a name`},
		"environment's place": {func(w *changed) { w.o.Environments["x"] = folder("") }, "the environment x has no folder"},
		"conflict":            {func(w *changed) { w.commit("prod/b.yaml", "a: b\n<<<<<<< HEAD\n") }, `"prod/b.yaml" line 2 is a conflict marker`},
		"folder and chart": {func(w *changed) {
			w.o.Environments["x"] = v1alpha1.Environment{Folder: "prod", Helm: &v1alpha1.Helm{Chart: "a"}}
		}, "the environment x has both a folder and a chart"},
		"no chart":          {func(w *changed) { w.o.Environments["x"] = v1alpha1.Environment{Helm: &v1alpha1.Helm{}} }, "the environment x has no chart"},
		"no such folder":    {func(w *changed) { w.o.Environments["x"] = folder("none") }, `rendering the environment x: there is no folder "none"`},
		"empty environment": {func(w *changed) { w.commit("x/README.md", "x"); w.o.Environments["x"] = folder("x") }, `"x" holds no YAML`},
		"not committed":     {func(w *changed) { w.git("rm", "-q", "--cached", "prod/a.yaml"); w.git("commit", "-q", "-m", "x") }, `there is no folder "prod"`},
		"link":              {func(w *changed) { w.link("a.yaml", "prod/link.yaml") }, `"prod/link.yaml" is a symbolic link`},
		"broken YAML":       {func(w *changed) { w.commit("prod/b.yaml", "\nkind: [\n") }, `"prod/b.yaml" line `},
		"no kind":           {func(w *changed) { w.commit("prod/b.yaml", "metadata: {name: a}\n") }, `"prod/b.yaml" line 1`},
		"no name":           {func(w *changed) { w.commit("prod/b.yaml", "apiVersion: v1\nkind: Pod\n") }, `"prod/b.yaml" line 1`},
		"twice":             {func(w *changed) { w.commit("prod/b.yaml", configMap) }, "ConfigMap a is there twice"},
		"picture":           {func(w *changed) { w.commit("prod/b.yaml", "\x89PNG\r\n\x1a\n\x00") }, `"prod/b.yaml": line 1`},
		"secret":            {func(w *changed) { w.commit("prod/b.yaml", secret("stringData: {a: b}")) }, "Secret b is not encrypted"},
		"secret data":       {func(w *changed) { w.commit("prod/b.yaml", secret("data: {a: Yg==}\nsops: {mac: x}")) }, "Secret b is not encrypted"},
		"partly encrypted": {func(w *changed) {
			w.commit("prod/b.yaml", secret(`data: {a: "ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]", b: Yg==}`+"\nsops: {mac: x}"))
		}, "Secret b is not encrypted"},
		"encrypted by nobody": {func(w *changed) {
			w.commit("prod/b.yaml", secret(`data: {a: "ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]"}`))
		}, "Secret b is not encrypted"},
		"encrypted in name": {func(w *changed) { w.commit("prod/b.yaml", secret(`data: {a: "ENC[x]"}`+"\nsops: {mac: x}")) }, "Secret b is not encrypted"},
		"secret in kubectl's copy": {func(w *changed) {
			w.commit("prod/b.yaml", copied(`{"stringData":{"a":"b"}}`))
		}, "hint: remove the annotation"},
		"generated secret": {func(w *changed) {
			w.commit("prod/kustomization.yaml", "secretGenerator: [{name: b, literals: [a=b]}]\n")
		}, "is not encrypted"},
		"version":            {func(w *changed) { w.o.Version = "latest" }, `the version "latest" is not a semantic version`},
		"version's metadata": {func(w *changed) { w.o.Version = "1.0.0+x" }, `the version "1.0.0+x"`},
		"epoch":              {func(w *changed) { w.o.Epoch = -1 }, "the epoch is -1"},
		"channel's grammar":  {func(w *changed) { w.o.Channel = "a/b" }, `the channel "a/b" is not a tag`},
		"channel's length":   {func(w *changed) { w.o.Channel = strings.Repeat("a", 129) }, "is not a tag"},
		"channel of version": {func(w *changed) { w.o.Channel = "v1.0.0" }, "reads like a version or a digest"},
		"channel of digest":  {func(w *changed) { w.git("branch", "-m", "sha256-"+strings.Repeat("0", 64)+".sig") }, "reads like a version or a digest"},
		"no signer":          {func(w *changed) { w.o.Signer = nil }, "a signer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &changed{world: newWorld(t)}
			w.commit("prod/a.yaml", configMap)
			w.o = w.as()
			c.change(w)
			r, err := publisher.Publish(t.Context(), w.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v, want %q", r, err, c.want)
			}
			if w.writes != 0 {
				t.Errorf("%d writes", w.writes)
			}
		})
	}
}

func secret(rest string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\n" + rest + "\n"
}

// copied is an encrypted Secret with the annotation that kubectl apply writes.
func copied(applied string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: b, annotations: {kubectl.kubernetes.io/last-applied-configuration: '" + applied + "'}}\n" +
		`data: {a: "ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]"}` + "\nsops: {mac: x}\n"
}

func TestAccepts(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, o *publisher.Options)
		tags   string
	}{
		"a branch":  {func(w *world, o *publisher.Options) { w.git("checkout", "-q", "-b", "x"); o.Rev = "main" }, "0.0.1 main"},
		"a slash":   {func(w *world, _ *publisher.Options) { w.git("checkout", "-q", "-b", "a/b#c") }, "0.0.1 a-b-c"},
		"a channel": {func(_ *world, o *publisher.Options) { o.Channel = "stable" }, "0.0.1 stable"},
		"detached":  {func(w *world, o *publisher.Options) { w.git("checkout", "-q", "--detach"); o.Ref = "refs/heads/main" }, "0.0.1 main"},
		"branch of origin": {func(w *world, o *publisher.Options) {
			w.git("update-ref", "refs/remotes/origin/release", "HEAD")
			o.Ref = "refs/heads/release"
		}, "0.0.1 release"},
		"branch of origin, ahead of ours": {func(w *world, o *publisher.Options) {
			w.git("branch", "release")
			w.commit("prod/b.yaml", configMap2)
			w.git("update-ref", "refs/remotes/origin/release", "HEAD")
			o.Ref = "refs/heads/release"
		}, "0.0.2 release"},
		"no remote": {func(w *world, _ *publisher.Options) { w.git("remote", "remove", "origin") }, "0.0.1 main"},
		"secret allowed": {func(w *world, o *publisher.Options) {
			w.commit("prod/b.yaml", secret("stringData: {a: b}"))
			o.AllowSecrets = true
		}, "0.0.2 main"},
		"secret encrypted": {func(w *world, _ *publisher.Options) {
			w.commit("prod/b.yaml", secret(`data: {a: "ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]"}`+"\nsops: {mac: x}"))
		}, "0.0.2 main"},
		"secret and kubectl's copy encrypted": {func(w *world, _ *publisher.Options) {
			w.commit("prod/b.yaml", copied("ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]"))
		}, "0.0.2 main"},
		"copy of what is no secret": {func(w *world, _ *publisher.Options) {
			w.commit("prod/b.yaml", strings.Replace(copied("{}"), "v1", "example.com/v1", 1))
		}, "0.0.2 main"},
		"secret empty": {func(w *world, _ *publisher.Options) { w.commit("prod/b.yaml", secret("type: x/y")) }, "0.0.2 main"},
		"of another group": {func(w *world, _ *publisher.Options) {
			w.commit("prod/b.yaml", strings.Replace(secret("data: {a: b}"), "v1", "example.com/v1", 1))
		}, "0.0.2 main"},
		"version": {func(_ *world, o *publisher.Options) { o.Version = "v1.0.0-rc.1" }, "1.0.0-rc.1 main"},
		"odd tags": {func(w *world, _ *publisher.Options) {
			w.git("tag", "v1.0")
			w.git("tag", "v2.0.0+x")
			w.git("tag", "v0.0.0")
		}, "0.0.0 main"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.commit("prod/a.yaml", configMap)
			o := w.as()
			c.change(w, &o)
			if r := w.publish(o); strings.Join(r.Tags, " ") != c.tags {
				t.Errorf("%+v, want the tags %s", r, c.tags)
			}
		})
	}
}

func TestShallowClone(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	w.commit()
	o := w.as()
	full := w.dir
	w.dir = t.TempDir()
	w.git("clone", "-q", "--depth", "1", "file://"+full, ".")
	o.Dir = w.dir
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), "hint: fetch the full history") || w.writes > 0 {
		t.Errorf("%v, %d writes", err, w.writes)
	}
	w.git("fetch", "-q", "--unshallow")
	if r := w.publish(o); r.Sequence != 2 {
		t.Errorf("%+v", r)
	}
}

// TestSameEverywhere publishes one commit from two clones with different key,
// branch checked out, and order of work.
func TestSameEverywhere(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/b.yaml", deployment, "prod/a.yaml", configMap)
	o := w.as()
	first := w.publish(o)
	clone := t.TempDir()
	w.git("clone", "-q", "--bare", w.dir, clone)
	other := w.as()
	other.Dir, other.Source = clone, "https://bot@git.example.com/acme/deploy/"
	second := w.publish(other)
	if second.Digest != first.Digest || second.Unchanged {
		t.Errorf("%+v and %+v", first, second)
	}
	if !w.publish(other).Unchanged || !w.publish(o).Unchanged {
		t.Error("one signer's signature has displaced the other's")
	}
}

const config = "apiVersion: sealift.dev/v1alpha1\nkind: Config\n"

func TestPlan(t *testing.T) {
	one := config + "publish:\n- {to: oci://example.com/a, environments: {prod: prod}}\n"
	two := one + "- {to: example.com/b, environments: {dev: dev, prod: prod}}\n"
	for name, c := range map[string]struct {
		file, to, environment, want string
	}{
		"one":                      {file: one, want: "example.com/a map[prod:prod]"},
		"two":                      {file: two, want: "example.com/a map[prod:prod], example.com/b map[dev:dev prod:prod]"},
		"one by name":              {file: two, to: "example.com/b", want: "example.com/b map[dev:dev prod:prod]"},
		"elsewhere":                {file: one, to: "example.com/c", want: "example.com/c map[prod:prod]"},
		"other environment":        {file: one, environment: "x", want: "example.com/a map[x:x]"},
		"without file":             {to: "example.com/c", environment: "x", want: "example.com/c map[x:x]"},
		"file not read":            {file: "[", to: "example.com/c", environment: "x", want: "example.com/c map[x:x]"},
		"no file":                  {want: "there is none; hint:"},
		"nowhere of two":           {file: two, to: "example.com/c", want: "none goes to example.com/c; hint:"},
		"one environment, of two?": {file: two, environment: "x", want: "lists 2 releases; hint: name one with --to"},
		"broken":                   {file: config + "publish: [\n", want: `"sealift.yaml" line `},
		"unknown field":            {file: config + "publishes: []\n", want: `unknown field "publishes"`},
		"twice":                    {file: config + config, want: "is there twice"},
		"two documents":            {file: one + "---\n" + one, want: "it holds 2 YAML documents"},
		"another kind":             {file: "apiVersion: v1\nkind: Config\npublish: []\n", want: `apiVersion "v1"`},
		"empty":                    {file: config, want: "publish is empty; hint:"},
		"no address":               {file: config + "publish: [{to: 'https://example.com/a', environments: {a: a}}]\n", want: "publish[0].to: "},
		"with a tag":               {file: config + "publish: [{to: 'example.com/a:main', environments: {a: a}}]\n", want: "publish[0].to: "},
		"same place twice":         {file: one + "- {to: example.com/a, environments: {dev: dev}}\n", want: "publish[1].to: example.com/a is there twice"},
		"chart":                    {file: config + "publish: [{to: example.com/a, environments: {prod: {helm: {chart: charts/a}}, dev: {folder: b}}}]\n", want: "example.com/a map[dev:b prod:]"},
		"environment's field":      {file: config + "publish: [{to: example.com/a, environments: {prod: {path: a}}}]\n", want: `unknown field "path"`},
		"chart's field":            {file: config + "publish: [{to: example.com/a, environments: {prod: {helm: {chart: a, valuesFiles: [b]}}}}]\n", want: `unknown field "valuesFiles"`},
		"image path":               {file: one + "imagePaths: [{apiVersion: example.com/v1, kind: Cart, paths: ['spec..image']}]\n", want: "imagePaths[0].paths[0]: "},
		"image path without kind":  {file: one + "imagePaths: [{apiVersion: example.com/v1, paths: [a]}]\n", want: "imagePaths[0]: apiVersion, kind and paths"},
		"image paths":              {file: one + "imagePaths: [{apiVersion: example.com/v1, kind: Cart, paths: ['spec.images[*]']}]\n", want: "example.com/a map[prod:prod]"},
		"no environments":          {file: config + "publish: [{to: example.com/a}]\n", want: "publish[0].environments is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			commit := w.commit("prod/a.yaml", configMap)
			if c.file != "" {
				commit = w.commit("sealift.yaml", c.file)
			}
			o := publisher.Options{Dir: w.dir}
			if c.to != "" {
				o.To, _ = artifact.ParseRepository(c.to)
			}
			if c.environment != "" {
				o.Environments = map[string]v1alpha1.Environment{c.environment: folder(c.environment)}
			}
			planned, err := publisher.Plan(o)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			var got []string
			for _, p := range planned {
				got = append(got, fmt.Sprint(p.To, " ", folders(p.Environments)))
				if p.Rev != commit || p.Ref != "refs/heads/main" {
					t.Errorf("revision %s of %s", p.Rev, p.Ref)
				}
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("planned %s, want %s", strings.Join(got, ", "), c.want)
			}
		})
	}
}

func folders(environments map[string]v1alpha1.Environment) map[string]string {
	paths := map[string]string{}
	for name, e := range environments {
		paths[name] = e.Folder
	}
	return paths
}

// told keeps what it is told of a build.
type told struct{ build publisher.Build }

func (t *told) Attest(_ context.Context, _ artifact.Ref, b publisher.Build) (bool, error) {
	t.build = b
	return false, nil
}

// TestBuildNamesItsConfig: sealift.yaml is said to have chosen only what it chose.
func TestBuildNamesItsConfig(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap, "other/a.yaml", configMap2,
		"sealift.yaml", config+"publish: [{to: 'oci://"+w.repository().String()+"', environments: {prod: prod}}]\n")
	for _, c := range []struct {
		environments map[string]v1alpha1.Environment
		want         string
	}{{nil, "sealift.yaml"}, {map[string]v1alpha1.Environment{"prod": folder("other")}, ""}} {
		w.commit()
		o := w.as()
		var seen told
		o.To, o.Environments, o.Attester = artifact.Repository{}, c.environments, &seen
		planned, err := publisher.Plan(o)
		if err != nil || len(planned) != 1 {
			t.Fatal(planned, err)
		}
		if w.publish(planned[0]); seen.build.Config != c.want {
			t.Errorf("%v: %q", c.environments, seen.build.Config)
		}
	}
}

func TestPlannedCommitIsPublished(t *testing.T) {
	w := newWorld(t)
	commit := w.commit("prod/a.yaml", configMap, "sealift.yaml", config+"publish: [{to: "+w.host+"/deploy/shop, environments: {prod: prod}}]\n")
	o := w.as()
	o.To, o.Environments = artifact.Repository{}, nil
	planned, err := publisher.Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	w.commit("prod/b.yaml", deployment)
	if r := w.publish(planned[0]); r.Revision != "main@sha1:"+commit || r.Environments[0].Objects != 1 {
		t.Errorf("%+v", r)
	}
	w.git("checkout", "-q", "--detach")
	if planned, err = publisher.Plan(o); err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Publish(t.Context(), planned[0]); err == nil || !strings.Contains(err.Error(), `the revision "HEAD"`) {
		t.Error(err)
	}
}
