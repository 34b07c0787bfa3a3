package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// What Azure's registry is asked for, and with.
const (
	azureScope = "https://containerregistry.azure.net/.default" // good for registries alone
	azureUser  = "00000000-0000-0000-0000-000000000000"         // of whoever has a refresh token
	azureLasts = time.Hour                                      // of the usual three
	maxAnswer  = 64 << 10
)

// azure trades a token of the machine's identity for one of the registry: Workload Identity,
// a managed identity, the environment.
type azure struct {
	transport http.RoundTripper

	mu       sync.Mutex
	identity azcore.TokenCredential // nil: not looked for yet
}

func (*azure) serves(host string) bool {
	return regexp.MustCompile(`^[a-z0-9-]+\.azurecr\.(io|cn|us)$`).MatchString(host)
}

func (a *azure) login(ctx context.Context, host string) (Login, time.Time, error) {
	token, err := a.token(ctx)
	if err == nil {
		token, err = a.exchange(ctx, host, token)
	}
	if err != nil {
		return Login{}, time.Time{}, fmt.Errorf("asking Azure for a token for %s: %w; hint: give this pod or machine an identity with the role AcrPull", host, err)
	}
	return Login{Username: azureUser, Password: token}, time.Now().Add(azureLasts), nil
}

// token is one of the identity.
func (a *azure) token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.identity == nil {
		identity, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return "", err
		}
		a.identity = identity
	}
	token, err := a.identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureScope}})
	return token.Token, err
}

// exchange gets a refresh token of the registry.
func (a *azure) exchange(ctx context.Context, host, token string) (string, error) {
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{Transport: a.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the registry answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	var given struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&given); err != nil {
		return "", fmt.Errorf("reading the registry's token: %w", err)
	}
	if given.RefreshToken == "" {
		return "", errors.New("the registry gives no token")
	}
	return given.RefreshToken, nil
}
