package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/oauth2/google"
)

// gcp uses an access token of the Application Default Credentials: Workload Identity, the
// machine's service account, GOOGLE_APPLICATION_CREDENTIALS.
type gcp struct{}

// The name that goes with an access token, and what the token may do at most.
const (
	gcpUser  = "oauth2accesstoken"
	gcpScope = "https://www.googleapis.com/auth/cloud-platform"
)

func (gcp) serves(host string) bool {
	return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev")
}

func (gcp) login(ctx context.Context, host string) (Login, time.Time, error) {
	fail := func(err error) (Login, time.Time, error) {
		return Login{}, time.Time{}, fmt.Errorf("asking Google for a token for %s: %w; hint: give this pod or machine a service account that may read Artifact Registry", host, err)
	}
	// The source would ask again with this ctx: it is used once.
	source, err := google.DefaultTokenSource(ctx, gcpScope)
	if err != nil {
		return fail(err)
	}
	token, err := source.Token()
	if err != nil {
		return fail(err)
	}
	until := token.Expiry
	if until.IsZero() {
		until = time.Now().Add(2 * early)
	}
	return Login{Username: gcpUser, Password: token.AccessToken}, until, nil
}
