package attest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	hash    = "0123456789012345678901234567890123456789"
)

func build() publisher.Build {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("", 7200))
	return publisher.Build{
		Statement: artifact.Statement{
			Source: "https://git.example.com/acme/deploy", Revision: "main@sha1:" + hash, Version: "1.2.3", Created: at,
			Repository: "registry.example.com/deploy/shop", Epoch: 1, Sequence: 7, Ref: "refs/heads/main",
		},
		Contents: artifact.Config{
			Environments: []artifact.Environment{{Name: "prod"}, {Name: "db", Chart: "registry.example.com/charts/db@" + digestB}},
			Images: []artifact.Image{
				{Name: "nginx", Tag: "1.29", Digest: digestA, Platforms: []string{"linux/amd64", "linux/arm64"}},
				{Name: "registry.example.com:5000/apps/shop", Digest: digestB, SignedBy: []string{"ci"}},
				{Name: "busybox", Tag: "latest"},
			},
		},
		Config:  "sealift.yaml",
		Sources: map[string]v1alpha1.Environment{"prod": {Folder: "deploy/prod"}, "db": {Helm: &v1alpha1.Helm{Chart: "charts/db"}}},
		Started: at,
	}
}

func ref() artifact.Ref {
	return artifact.Repository{Host: "registry.example.com", Path: "deploy/shop"}.At(digestB)
}

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestProvenance(t *testing.T) {
	finished := build().Started.Add(3 * time.Second)
	data, err := json.MarshalIndent(ProvenanceOf(build(), RunOf(env(nil), "v9"), finished), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "buildDefinition": {
    "buildType": "https://sealift.dev/publish/v1",
    "externalParameters": {
      "repository": "registry.example.com/deploy/shop",
      "source": "https://git.example.com/acme/deploy",
      "ref": "refs/heads/main",
      "revision": "main@sha1:0123456789012345678901234567890123456789",
      "version": "1.2.3",
      "config": "sealift.yaml",
      "environments": {
        "db": {
          "helm": {
            "chart": "charts/db"
          }
        },
        "prod": "deploy/prod"
      }
    },
    "resolvedDependencies": [
      {
        "uri": "git+https://git.example.com/acme/deploy@refs/heads/main",
        "digest": {
          "gitCommit": "0123456789012345678901234567890123456789"
        }
      },
      {
        "uri": "oci://registry.example.com/charts/db",
        "digest": {
          "sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        }
      },
      {
        "uri": "pkg:oci/nginx@sha256%3Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?repository_url=docker.io/library/nginx\u0026tag=1.29",
        "digest": {
          "sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        }
      },
      {
        "uri": "pkg:oci/shop@sha256%3Abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb?repository_url=registry.example.com:5000/apps/shop",
        "digest": {
          "sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        }
      }
    ]
  },
  "runDetails": {
    "builder": {
      "id": "https://sealift.dev/builders/local/v1",
      "version": {
        "sealift": "v9"
      }
    },
    "metadata": {
      "startedOn": "2026-01-02T01:04:05Z",
      "finishedOn": "2026-01-02T01:04:08Z"
    }
  }
}`
	if string(data) != want {
		t.Errorf("got\n%s\nwant\n%s", data, want)
	}
	var read provenance.Provenance
	if err := protojson.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if err := read.Validate(); err != nil {
		t.Errorf("in-toto's own reader: %v", err)
	}
}

func TestBuilders(t *testing.T) {
	github := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/deploy", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2",
		"GITHUB_WORKFLOW_REF": "acme/deploy/.github/workflows/publish.yml@refs/heads/main", "RUNNER_ENVIRONMENT": "github-hosted", "SECRET": "hush",
	}
	own := map[string]string{}
	for k, v := range github {
		own[k] = v
	}
	own["RUNNER_ENVIRONMENT"] = "self-hosted"
	for name, test := range map[string]struct {
		env                 map[string]string
		builder, invocation string
	}{
		"GitHub":                   {github, "https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main", "https://github.com/acme/deploy/actions/runs/7/attempts/2"},
		"GitHub, one's own runner": {own, "https://sealift.dev/builders/github-self-hosted/v1", "https://github.com/acme/deploy/actions/runs/7/attempts/2"},
		"GitLab": {map[string]string{"GITLAB_CI": "true", "CI_PROJECT_URL": "https://gitlab.com/acme/deploy", "CI_RUNNER_ID": "9", "CI_JOB_URL": "https://gitlab.com/acme/deploy/-/jobs/8"},
			"https://gitlab.com/acme/deploy/-/runners/9", "https://gitlab.com/acme/deploy/-/jobs/8"},
		"GitLab, unknown runner": {map[string]string{"GITLAB_CI": "true"}, "https://sealift.dev/builders/gitlab/v1", ""},
		"a laptop":               {map[string]string{"GITHUB_REPOSITORY": "acme/deploy"}, "https://sealift.dev/builders/local/v1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			run := RunOf(env(test.env), "v9")
			if run.Builder != test.builder || run.Invocation != test.invocation {
				t.Errorf("%+v", run)
			}
			if data, _ := json.Marshal(ProvenanceOf(build(), run, time.Now())); bytes.Contains(data, []byte("hush")) {
				t.Errorf("the environment is told: %s", data)
			}
		})
	}
}

func TestBill(t *testing.T) {
	data, err := BillOf(ref(), build(), Run{Version: "v9"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := BillOf(ref(), build(), Run{Version: "v9"})
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("two bills of one release differ:\n%s\n%s", data, again)
	}
	var read cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(data), cyclonedx.BOMFileFormatJSON).Decode(&read); err != nil {
		t.Fatal(err)
	}
	if read.SpecVersion != cyclonedx.SpecVersion1_6 || read.Metadata.Component.Version != "1.2.3" || read.Metadata.Timestamp != "2026-01-02T01:04:05Z" || read.SerialNumber != "" {
		t.Errorf("%s", data)
	}
	var lines []string
	for _, c := range *read.Components {
		line := string(c.Type) + " " + c.BOMRef + " " + c.PackageURL
		if c.Properties != nil {
			for _, p := range *c.Properties {
				line += " " + p.Name + "=" + p.Value
			}
		}
		lines = append(lines, line)
	}
	want := strings.Join([]string{
		"container nginx:1.29@" + digestA + " pkg:oci/nginx@sha256%3A" + digestA[7:] + "?repository_url=docker.io/library/nginx&tag=1.29 sealift:platform=linux/amd64 sealift:platform=linux/arm64",
		"container registry.example.com:5000/apps/shop@" + digestB + " pkg:oci/shop@sha256%3A" + digestB[7:] + "?repository_url=registry.example.com:5000/apps/shop sealift:signedBy=ci",
		"container busybox:latest ",
	}, "\n")
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
