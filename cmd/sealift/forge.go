package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/pflag"

	"sealift.dev/automator"
	"sealift.dev/automator/forge"
)

// forgeTokenVar holds the token for the API of pull requests. Set and empty: there is none,
// and Git's password is not taken for one.
const forgeTokenVar = "SEALIFT_FORGE_TOKEN"

// forgeAccess says how the API of a repository's pull requests is reached, and whether a
// GitHub App stands for a password: everything secret is the name of a file.
type forgeAccess struct {
	ForgeURL        string `json:"forgeURL,omitempty"`
	ForgeToken      string `json:"forgeTokenFile,omitempty"` // read again for each use
	AppID           int64  `json:"githubAppID,omitempty"`
	AppInstallation int64  `json:"githubAppInstallation,omitempty"`
	AppKey          string `json:"githubAppKeyFile,omitempty"`
}

func (f *forgeAccess) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.ForgeURL, "forge-url", "", "URL of the API of pull requests, whatever sealift.yaml says")
	flags.Int64Var(&f.AppID, "github-app-id", 0, "ID of a GitHub App, whose tokens are used for Git and the API")
	flags.Int64Var(&f.AppInstallation, "github-app-installation", 0, "ID of the App's installation")
	flags.StringVar(&f.AppKey, "github-app-key", "", "file with the App's private key (PEM)")
}

// open completes the options of one repository: those of Git are there already, and transport
// carries what goes to the API.
func (f forgeAccess) open(o *automator.Options, transport http.RoundTripper) error {
	o.Forge = automator.Forge{URL: f.ForgeURL, Transport: transport, Token: f.token()}
	if f.AppID == 0 && f.AppInstallation == 0 && f.AppKey == "" {
		return nil
	}
	if f.AppID == 0 || f.AppInstallation == 0 || f.AppKey == "" {
		return usage(errors.New("a GitHub App needs --github-app-id, --github-app-installation and --github-app-key"))
	}
	key, err := readBounded(f.AppKey, maxPEM)
	if err != nil {
		return fmt.Errorf("reading the GitHub App's key: %w", err)
	}
	tokens, err := forge.NewTokens(forge.App{
		ID: f.AppID, Installation: f.AppInstallation, Key: key, Repo: o.Repo, URL: f.ForgeURL,
		Transport: transport, PlainHTTP: o.Git.PlainHTTP,
	})
	if err != nil {
		return err
	}
	o.Git.Credentials = tokens.Credentials
	if o.Forge.Token == nil {
		o.Forge.Token = tokens.Token
	}
	return nil
}

// token is nil where nobody names one: then Git's password counts.
func (f forgeAccess) token() func(context.Context) (string, error) {
	if _, set := os.LookupEnv(forgeTokenVar); f.ForgeToken == "" && !set {
		return nil
	}
	return func(context.Context) (string, error) {
		token, err := secret(f.ForgeToken, forgeTokenVar)
		return string(token), err
	}
}
