package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
)

// publishing compares sealift publish with the bare upload of the same bytes, and that with cosign's
// signature over them.
type publishing struct {
	Manifests int   `json:"manifests"`
	YAMLBytes int   `json:"yamlBytes"`
	Release   int64 `json:"releaseBytes"` // manifest, config and layer
	Sealift   usage `json:"sealift"`      // sealift publish --key: read, render, pin, pack, push, sign, read back, tag
	Upload    usage `json:"upload"`       // a program that only sends the same blobs and manifest
	Cosign    usage `json:"cosign"`       // cosign sign --key of the same artifact
	// Ratio is Sealift's time to Upload's, RatioSigned to that of Upload and Cosign together.
	Ratio       float64 `json:"ratio"`
	RatioSigned float64 `json:"ratioSigned"`
}

func (w *workshop) measurePublish(ctx context.Context, runs int) (publishing, error) {
	var ours, bare, cosign []usage
	p := publishing{Manifests: w.manifests, YAMLBytes: w.yamlBytes}
	self, err := os.Executable()
	if err != nil {
		return p, err
	}
	for range runs {
		if err := w.registry.empty(); err != nil {
			return p, err
		}
		u, err := w.measure(ctx, w.sealift, w.publishArgs("bench/shop", "--key", "ci.key")...)
		if err != nil {
			return p, err
		}
		ours = append(ours, u)
		if p.Release, err = w.download(ctx, "bench/shop"); err != nil {
			return p, err
		}
		if err := w.registry.empty(); err != nil {
			return p, err
		}
		if u, err = w.measure(ctx, self, "upload", "http://"+w.registry.host+"/v2/bench/shop", "."); err != nil {
			return p, err
		}
		bare = append(bare, u)
		u, err = w.measure(ctx, filepath.Join(w.bin, "cosign3"), "sign", "--yes", "--key", "ci.key",
			"--signing-config", "signing-config.json", w.registry.host+"/bench/shop:main")
		if err != nil {
			return p, err
		}
		cosign = append(cosign, u)
	}
	p.Sealift, p.Upload, p.Cosign = medians(ours), medians(bare), medians(cosign)
	p.Ratio = p.Sealift.Seconds / p.Upload.Seconds
	p.RatioSigned = p.Sealift.Seconds / (p.Upload.Seconds + p.Cosign.Seconds)
	return p, nil
}

func (w *workshop) publishArgs(repository string, more ...string) []string {
	return append([]string{
		"publish", "--to", "oci://" + w.registry.host + "/" + repository, "--environment", "prod=deploy",
		"--source", "https://github.com/acme/deploy", "--plain-http", "--quiet",
	}, more...)
}

// The files in which a release lies on disk, for upload.
const (
	manifestFile = "release.manifest"
	configFile   = "release.config"
	layerFile    = "release.layer"
)

// download writes the release's parts to files and returns their size.
func (w *workshop) download(ctx context.Context, repository string) (int64, error) {
	registry := artifact.NewRegistry(artifact.Options{PlainHTTP: true})
	at, err := artifact.ParseRepository("oci://" + w.registry.host + "/" + repository)
	if err != nil {
		return 0, err
	}
	ref, err := registry.Resolve(ctx, at, "main")
	if err != nil {
		return 0, err
	}
	manifest, err := registry.Manifest(ctx, ref)
	if err != nil {
		return 0, err
	}
	files := map[string][]byte{manifestFile: manifest.Raw}
	for name, desc := range map[string]ocispec.Descriptor{configFile: manifest.Config, layerFile: manifest.Layers[0]} {
		if files[name], err = registry.Blob(ctx, at, desc, desc.Size); err != nil {
			return 0, err
		}
	}
	var size int64
	for name, data := range files {
		size += int64(len(data))
		if err := os.WriteFile(filepath.Join(w.dir, name), data, 0o600); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// uploadFolder sends what download wrote, as few requests as the protocol has: for each blob one
// that begins and one that sends, then the manifest under the tag main.
func uploadFolder(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench upload URL FOLDER")
	}
	base, dir := args[0], args[1]
	for _, name := range []string{layerFile, configFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		session, err := send(ctx, http.MethodPost, base+"/blobs/uploads/", "", nil)
		if err != nil {
			return err
		}
		if session.RawQuery != "" {
			session.RawQuery += "&"
		}
		session.RawQuery += "digest=" + digest.FromBytes(data).String()
		if _, err := send(ctx, http.MethodPut, session.String(), "application/octet-stream", data); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return err
	}
	var manifest struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return err
	}
	_, err = send(ctx, http.MethodPut, base+"/manifests/main", manifest.MediaType, data)
	return err
}

// send returns where the answer points to.
func send(ctx context.Context, method, to, contentType string, body []byte) (*url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: %s", method, to, response.Status)
	}
	if response.Header.Get("Location") == "" {
		return nil, nil
	}
	return response.Location()
}
