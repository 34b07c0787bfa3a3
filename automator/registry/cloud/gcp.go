package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/google"
)

// gcp uses an access token of the Application Default Credentials: Workload Identity, the
// machine's service account, GOOGLE_APPLICATION_CREDENTIALS.
type gcp struct{}

func (gcp) serves(host string) bool {
	return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev")
}

func (gcp) login(ctx context.Context, host string) (authn.AuthConfig, time.Time, error) {
	// The token's source would ask again with this ctx: it is used once.
	source, err := google.NewEnvAuthenticator(ctx)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("asking Google for a token for %s: %w; hint: give this pod or machine a service account that may read Artifact Registry", host, err)
	}
	config, err := authn.Authorization(ctx, source)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("asking Google for a token for %s: %w", host, err)
	}
	// A metadata server gives tokens that it has kept, with five minutes left at least.
	return *config, time.Now().Add(2 * early), nil
}
