package publisher_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

const typeChart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// chart pushes a chart as helm push does, and gives its address.
func (w *world) chart(layerType string, files ...string) string {
	w.t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for i := 0; i < len(files); i += 2 {
		if err := archive.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}); err != nil {
			w.t.Fatal(err)
		}
		if _, err := archive.Write([]byte(files[i+1])); err != nil {
			w.t.Fatal(err)
		}
	}
	_ = archive.Close()
	_ = zip.Close()
	repository := artifact.Repository{Host: w.host, Path: "charts/shop"}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, blob := range []artifact.Blob{{MediaType: "application/vnd.cncf.helm.config.v1+json", Data: []byte("{}")}, {MediaType: layerType, Data: packed.Bytes()}} {
		if _, err := w.registry.PutBlob(w.t.Context(), repository, blob); err != nil {
			w.t.Fatal(err)
		}
		manifest.Layers = append(manifest.Layers, ocispec.Descriptor{MediaType: blob.MediaType, Digest: digest.FromBytes(blob.Data), Size: int64(len(blob.Data))})
	}
	manifest.Config, manifest.Layers = manifest.Layers[0], manifest.Layers[1:]
	data, err := json.Marshal(manifest)
	if err != nil {
		w.t.Fatal(err)
	}
	ref, err := w.registry.PutManifest(w.t.Context(), repository, "1.0.0", manifest.MediaType, data)
	if err != nil {
		w.t.Fatal(err)
	}
	return "oci://" + ref.String()
}

const (
	chartFile     = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
	chartTemplate = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {mood: {{ .Values.mood | quote }}}\n"
)

func TestChartOfRegistry(t *testing.T) {
	w := newWorld(t)
	address := w.chart(typeChart, "shop/Chart.yaml", chartFile, "shop/values.yaml", "mood: calm\n", "shop/templates/a.yaml", chartTemplate)
	w.commit("values/prod.yaml", "mood: fine\n", "sealift.yaml", config+"publish:\n- to: "+w.repository().String()+
		"\n  environments:\n    prod: {helm: {chart: '"+address+"', values: [values/prod.yaml], release: shop}}\n    dev: {helm: {chart: '"+address+"'}}\n")
	planned := w.planned(w.as())
	r := w.publish(planned[0])
	if len(r.Environments) != 2 || r.Environments[0].Chart != strings.TrimPrefix(address, "oci://") || r.Environments[0].Objects != 1 {
		t.Errorf("%+v", r)
	}
	ref, _ := w.registry.Resolve(t.Context(), w.repository(), "main")
	release, err := w.registry.Fetch(t.Context(), ref, artifact.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"mood: calm\nkind: ConfigMap\nmetadata:\n  name: dev\n", "mood: fine\nkind: ConfigMap\nmetadata:\n  name: shop\n"} {
		if !strings.Contains(string(release.Files[i].Data), want) {
			t.Errorf("%s lacks %s", release.Files[i].Data, want)
		}
	}
	if again := w.publish(planned[0]); !again.Unchanged {
		t.Errorf("%+v", again)
	}
}

func TestChartRefused(t *testing.T) {
	w := newWorld(t)
	good := w.chart(typeChart, "shop/Chart.yaml", chartFile, "shop/templates/a.yaml", chartTemplate)
	w.commit("linked/Chart.yaml", chartFile, "linked/templates/a.yaml", chartTemplate)
	w.link("a.yaml", "linked/templates/b.yaml")
	for name, c := range map[string]struct{ chart, want string }{
		"a link":        {"linked", `"linked/templates/b.yaml" is a symbolic link`},
		"by tag":        {"oci://" + w.host + "/charts/shop:1.0.0", "has no digest; hint:"},
		"elsewhere":     {"https://charts.example.com/shop", `"https://charts.example.com/shop"`},
		"missing":       {"oci://" + w.host + "/charts/shop@sha256:" + strings.Repeat("0", 64), "not found"},
		"no chart":      {w.chart("application/vnd.oci.image.layer.v1.tar+gzip", "shop/Chart.yaml", chartFile), "is no chart"},
		"no Chart.yaml": {w.chart(typeChart, "shop/values.yaml", ""), "there is no chart in"},
		"no folder":     {w.chart(typeChart, "Chart.yaml", chartFile), `"Chart.yaml" is not in the chart's folder`},
		"way out":       {w.chart(typeChart, "../Chart.yaml", chartFile), "unpacking the chart"},
		"no file":       {w.chart(typeChart), "there is no chart in"},
		"a folder":      {"charts/none", `there is no chart in "charts/none"`},
		"good":          {good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.commit("x", name)
			o := w.as()
			o.Environments = map[string]v1alpha1.Environment{"prod": {Helm: &v1alpha1.Helm{Chart: c.chart}}}
			writes := w.writes
			_, err := publisher.Publish(t.Context(), o)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || w.writes != writes {
				t.Errorf("%v, %d writes", err, w.writes-writes)
			}
		})
	}
}

// TestSubmodulesAndPointers: both are refused, unless they are asked for.
func TestSubmodulesAndPointers(t *testing.T) {
	w := newWorld(t)
	w.commit("prod/a.yaml", configMap)
	w.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",prod/sub")
	w.git("commit", "-q", "-m", "x")
	o := w.as()
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), `"prod/sub" is a submodule`) {
		t.Error(err)
	}
	o.AllowSubmodules = true
	w.publish(o)
	w.git("rm", "-q", "--cached", "prod/sub")
	w.commit("prod/kustomization.yaml", "resources: [a.yaml]\nconfigMapGenerator: [{name: b, files: [logo.png]}]\n",
		"prod/logo.png", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("0", 64)+"\nsize 12345\n")
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), `"prod/logo.png" is a pointer of Git LFS`) {
		t.Error(err)
	}
	o.AllowPointers = true
	w.publish(o)
}
