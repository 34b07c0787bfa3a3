package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// aws asks ECR for a password, with what the SDK's usual chain finds: IRSA, Pod Identity,
// the instance's role, the environment.
type aws struct{}

// region is that of an ECR host; empty: it is none.
func (aws) region(host string) string {
	found := regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com|amazonaws\.com\.cn|on\.aws|on\.amazonwebservices\.com\.cn)$`).FindStringSubmatch(host)
	if found == nil {
		return ""
	}
	return found[1]
}

func (a aws) serves(host string) bool { return a.region(host) != "" }

func (a aws) login(ctx context.Context, host string) (Login, time.Time, error) {
	fail := func(err error) (Login, time.Time, error) {
		return Login{}, time.Time{}, fmt.Errorf("asking AWS for a password of %s: %w; hint: give this pod or machine a role that may call ecr:GetAuthorizationToken", host, err)
	}
	settings, err := config.LoadDefaultConfig(ctx, config.WithRegion(a.region(host)))
	if err != nil {
		return fail(err)
	}
	answer, err := ecr.NewFromConfig(settings).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return fail(err)
	}
	if len(answer.AuthorizationData) == 0 || answer.AuthorizationData[0].AuthorizationToken == nil {
		return fail(errors.New("there is none in the answer"))
	}
	data := answer.AuthorizationData[0]
	decoded, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
	if err != nil {
		return fail(errors.New("it is not base64"))
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return fail(errors.New("it is not USER:PASSWORD"))
	}
	until := time.Now().Add(time.Hour) // what is sure, of the usual twelve
	if data.ExpiresAt != nil {
		until = *data.ExpiresAt
	}
	return Login{Username: user, Password: password}, until, nil
}
