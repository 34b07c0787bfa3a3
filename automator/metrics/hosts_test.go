package metrics

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator/registry"
)

func TestRegistries(t *testing.T) {
	hosts := []registry.Host{
		{Name: "busy.example.com", Rest: time.Unix(1_800_000_000, 0)},
		{Name: "index.docker.io", Limit: 100, Remaining: 7},
		{Name: "quiet.example.com"},
	}
	m := New(1)
	m.Registries(func() []registry.Host { return hosts })
	scrape := func() string {
		recorder := httptest.NewRecorder()
		m.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
		return recorder.Body.String()
	}
	page := scrape()
	for _, want := range []string{
		`sealift_automate_registry_rest_until_timestamp_seconds{host="busy.example.com"} 1.8e+09`,
		`sealift_automate_registry_pulls_remaining{host="index.docker.io"} 7`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, "quiet.example.com") || strings.Contains(page, `pulls_remaining{host="busy`) {
		t.Error("the page tells what nobody said")
	}
	for i := range 2 * maxNames {
		hosts = append(hosts, registry.Host{Name: fmt.Sprint("host-", i), Limit: 1})
	}
	if lines := strings.Count(scrape(), "sealift_automate_registry_pulls_remaining{"); lines > maxNames+1 {
		t.Errorf("%d hosts are told", lines)
	}
}
