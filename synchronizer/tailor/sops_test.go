package tailor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
	"sealift.dev/internal/render"
)

// The files in testdata were written by sops 3.13.3.

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// published is what a release holds of a file: sorted, and read again.
func published(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	decoded, err := objects.Decode([]objects.File{{Path: "a.yaml", Data: []byte(text)}}, objects.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return again(t, decoded)
}

func again(t *testing.T, decoded []*unstructured.Unstructured) []*unstructured.Unstructured {
	t.Helper()
	objects.Sort(decoded)
	encoded, err := objects.Encode(decoded)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err = objects.Decode([]objects.File{{Path: "objects.yaml", Data: encoded}}, objects.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func keysOf(t *testing.T, files ...string) map[string][]byte {
	t.Helper()
	keys := map[string][]byte{}
	for _, file := range files {
		keys[file] = read(t, file)
	}
	return keys
}

func TestDecrypt(t *testing.T) {
	both := []string{"ops.agekey", "ops.asc"}
	for _, test := range []struct {
		file string
		keys []string
	}{
		{"age.enc.yaml", []string{"ops.agekey"}},
		{"age.enc.yaml", []string{"other.agekey", "ops.agekey"}},
		{"pgp.enc.yaml", []string{"ops.asc"}},
		{"maconly.enc.yaml", both},
		{"multi.enc.yaml", both},
		{"shamir.enc.yaml", both},
	} {
		t.Run(test.file, func(t *testing.T) {
			before := published(t, string(read(t, test.file)))
			made, err := new(Tailor).Apply(t.Context(), before, Options{Decryption: keysOf(t, test.keys...)})
			if err != nil {
				t.Fatal(err)
			}
			for i, u := range made {
				password, _, _ := unstructured.NestedString(u.Object, "stringData", "password")
				if password != "s3cret" || u.Object["sops"] != nil {
					t.Errorf("decrypted: %v", u.Object)
				}
				if !objects.IsEncrypted(before[i].Object) {
					t.Error("the release's own object was changed")
				}
			}
		})
	}
}

func TestDecryptRefuses(t *testing.T) {
	age := string(read(t, "age.enc.yaml"))
	multi := string(read(t, "multi.enc.yaml"))
	value := func(text, key string) string {
		_, after, _ := strings.Cut(text, key+": ")
		value, _, _ := strings.Cut(after, "\n")
		return value
	}
	for name, test := range map[string]struct {
		text string
		keys []string
		want string
	}{
		"no key at all":       {age, nil, "there is no key; hint: set spec.decryption.secretRef"},
		"another key":         {age, []string{"other.agekey"}, "encrypted for age age1l5g6kn4vzp3j923t3c6pdlw84c9faa9puqcp3w7l7qw0dystse0qvrwftk"},
		"one share of two":    {string(read(t, "shamir.enc.yaml")), []string{"ops.asc"}, "encrypted for age age1"},
		"a value in clear":    {strings.Replace(age, value(age, "user"), "root", 1), []string{"ops.agekey"}, "stringData.user: a value that has to be encrypted is not"},
		"a value of another":  {strings.Replace(age, value(age, "password"), value(age, "user"), 1), []string{"ops.agekey"}, "moved here from another place"},
		"a changed value":     {strings.Replace(age, "data:l", "data:L", 1), []string{"ops.agekey"}, "stringData.password"},
		"a changed name":      {strings.Replace(age, "name: token", "name: other", 1), []string{"ops.agekey"}, "does not match"},
		"a value removed":     {strings.Replace(age, "    user: "+value(age, "user")+"\n", "", 1), []string{"ops.agekey"}, "does not match"},
		"one document of two": {multi[strings.Index(multi, "\n---\n")+5:], []string{"ops.agekey"}, "does not match"},
		"other code":          {strings.Replace(age, "mac: ENC[AES256_GCM,data:y", "mac: ENC[AES256_GCM,data:Y", 1), []string{"ops.agekey"}, "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.text == age && len(test.keys) > 0 && test.keys[0] != "other.agekey" {
				t.Fatal("the case changes nothing")
			}
			_, err := new(Tailor).Apply(t.Context(), published(t, test.text), Options{Decryption: keysOf(t, test.keys...)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

// TestDecryptKustomized adds a namespace and labels by a kustomization, after the
// encryption: the code still covers all that was there before.
func TestDecryptKustomized(t *testing.T) {
	rendered, err := render.Render([]objects.File{
		{Path: "deploy/kustomization.yaml", Data: []byte("resources: [secret.yaml]\nnamespace: shop\nlabels: [{pairs: {app: shop}}]\n")},
		{Path: "deploy/secret.yaml", Data: read(t, "age.enc.yaml")},
	}, "deploy")
	if err != nil {
		t.Fatal(err)
	}
	made, err := new(Tailor).Apply(t.Context(), again(t, rendered), Options{Decryption: keysOf(t, "ops.agekey")})
	if err != nil {
		t.Fatal(err)
	}
	if made[0].GetNamespace() != "shop" || made[0].GetLabels()["app"] != "shop" || made[0].Object["stringData"].(map[string]any)["user"] != "admin" {
		t.Errorf("made %v", made[0].Object)
	}
}

func TestDecryptDisabled(t *testing.T) {
	objs := published(t, string(read(t, "age.enc.yaml")))
	objs[0].SetAnnotations(map[string]string{"kustomize.toolkit.fluxcd.io/decrypt": "Disabled"})
	made, err := new(Tailor).Apply(t.Context(), objs, Options{})
	if err != nil || made[0] != objs[0] {
		t.Errorf("got %v, %v", made, err)
	}
}

// FuzzDecrypt holds that nothing that is written in place of an encrypted document
// ends the process, or comes out decrypted but for the document itself.
func FuzzDecrypt(f *testing.F) {
	var keys = map[string][]byte{}
	for _, file := range []string{"ops.agekey", "ops.asc"} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		keys[file] = data
	}
	for _, file := range []string{"age", "pgp", "multi", "shamir", "maconly"} {
		data, err := os.ReadFile(filepath.Join("testdata", file+".enc.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		decoded, err := objects.Decode([]objects.File{{Path: "a.yaml", Data: []byte(text)}}, objects.DefaultLimits())
		if err != nil {
			return
		}
		made, err := new(Tailor).Apply(t.Context(), decoded, Options{Decryption: keys})
		if err != nil {
			return
		}
		for i, u := range made {
			if objects.IsEncrypted(decoded[i].Object) && !disabled(u, "decrypt") && u.GetName() != "token" && u.GetName() != "other" {
				t.Errorf("a changed document was decrypted: %v", u.Object)
			}
		}
	})
}
