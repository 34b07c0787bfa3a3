package webhook_test

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzPayloads: whatever an authentic sender says becomes a few printable hints, or none.
func FuzzPayloads(f *testing.F) {
	bodies := []string{
		dockerHubPush, quayPush, harborPush, harborCloudEvent, distributionEvents, acrPush, packagePublished, registryPackage,
		npmPackage, gitHubPush, gitLabPush, gitLabUpdate, giteaPush, giteaPackage, `{"image": "a/b:c", "git": "d"}`, `null`, `{"events": [null]}`,
		bitbucketPush, bitbucketServer, artifactoryPush, pubSub(`{"action": "INSERT", "tag": "a/b:c"}`),
	}
	senders := allSenders()
	events := []string{"push", "package", "registry_package", ""}
	for i, body := range bodies {
		for sender := range senders {
			f.Add(uint8(sender), uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, sender, event uint8, body []byte) {
		name, kind, signature := senders[int(sender)%len(senders)], events[int(event)%len(events)], sign(secret, string(body))
		header := http.Header{
			"X-Gitlab-Token": {secret}, "X-Gitea-Signature": {signature}, "X-Hub-Signature-256": {"sha256=" + signature},
			"X-Hub-Signature": {"sha256=" + signature}, "X-Jfrog-Event-Auth": {secret},
			"X-Github-Event": {kind}, "X-Gitea-Event": {kind}, "Authorization": {secret},
		}
		status, hints := receive(t, post{"/hooks/" + name + "/" + secret, string(body), header})
		if status != http.StatusAccepted && status != http.StatusBadRequest && status != http.StatusRequestEntityTooLarge || len(hints) > 100 {
			t.Errorf("%s: %d, %d hints", name, status, len(hints))
		}
		for _, hint := range hints {
			all := hint.Image + hint.Tag + hint.Git + hint.Ref
			if hint.Image == "" && hint.Git == "" || len(all) > 2048 || strings.ContainsFunc(all, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%s: %+q", name, hint)
			}
		}
	})
}
