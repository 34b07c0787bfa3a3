package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"sealift.dev/artifact"
	"sealift.dev/automator/remote"
)

// Secrets come from the environment or from files, so that they show in no process list.
const (
	gitUsernameVar       = "SEALIFT_GIT_USERNAME"
	gitPasswordVar       = "SEALIFT_GIT_PASSWORD"
	sshPassphraseVar     = "SEALIFT_SSH_PASSPHRASE"
	signingPassphraseVar = "SEALIFT_SIGNING_PASSPHRASE"
)

// maxSecret bounds files that hold a user's name, a password or a passphrase.
const maxSecret = 64 << 10

// gitFlags say which Git repository is written, and how it is reached.
type gitFlags struct {
	repo, branch string
	plainHTTP    bool
	access       gitAccess
}

func (g *gitFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&g.repo, "repo", "", "URL of the Git repository: https://, ssh:// or USER@HOST:PATH")
	flags.StringVar(&g.branch, "branch", "", "branch to read and push (default what sealift.yaml names)")
	flags.BoolVar(&g.plainHTTP, "plain-http", false, "allow plain HTTP to Git servers and registries on other machines")
	flags.StringVar(&g.access.UsernameFile, "git-username-file", "", "file with the user's name for Git over HTTPS (default $"+gitUsernameVar+")")
	flags.StringVar(&g.access.PasswordFile, "git-password-file", "", "file with the password or token for Git over HTTPS, read again for each use (default $"+gitPasswordVar+")")
	flags.StringVar(&g.access.CA, "git-ca", "", "file with certificate authorities (PEM) of the Git server, to trust beside the system's")
	flags.StringVar(&g.access.Cert, "git-cert", "", "file with a client certificate (PEM) for the Git server")
	flags.StringVar(&g.access.Key, "git-key", "", "file with the client certificate's key (PEM)")
	flags.StringVar(&g.access.SSHKey, "ssh-key", "", "file with a private key for ssh://")
	flags.StringVar(&g.access.KnownHosts, "ssh-known-hosts", "", "file with the public keys of SSH servers, as ssh-keyscan prints them (default ~/.ssh/known_hosts)")
	flags.StringVar(&g.access.SigningKey, "signing-key", "", "file with a private key, of SSH or OpenPGP, that signs commits")
}

// gitAccess says how a repository is reached: everything secret is the name of a file.
type gitAccess struct {
	UsernameFile      string `json:"usernameFile,omitempty"`
	PasswordFile      string `json:"passwordFile,omitempty"` // read again for each use, so that a new one counts
	CA                string `json:"caFile,omitempty"`
	Cert              string `json:"certFile,omitempty"`
	Key               string `json:"keyFile,omitempty"`
	SSHKey            string `json:"sshKeyFile,omitempty"`
	SSHPassphrase     string `json:"sshPassphraseFile,omitempty"`
	KnownHosts        string `json:"knownHostsFile,omitempty"`
	SigningKey        string `json:"signingKeyFile,omitempty"`
	SigningPassphrase string `json:"signingPassphraseFile,omitempty"`
}

// remote reads the files that are named. The environment stands in for passwords and
// passphrases that no file holds.
func (a gitAccess) remote(url, proxy string, plainHTTP bool) (remote.Options, error) {
	o := remote.Options{URL: url, PlainHTTP: plainHTTP, Credentials: a.credentials()}
	network := artifact.Network{Proxy: proxy}
	hosts, hostsName := []byte(nil), a.KnownHosts
	if hostsName == "" {
		hostsName = defaultKnownHosts()
	}
	var key []byte
	for _, file := range []struct {
		what, name string
		to         *[]byte
	}{
		{"certificate authorities", a.CA, &network.CA}, {"client certificate", a.Cert, &network.ClientCert},
		{"client certificate's key", a.Key, &network.ClientKey}, {"SSH key", a.SSHKey, &o.SSH.Key},
		{"known hosts", hostsName, &hosts}, {"signing key", a.SigningKey, &key},
	} {
		if file.name == "" {
			continue
		}
		data, err := readBounded(file.name, maxPEM)
		if err != nil {
			return o, fmt.Errorf("reading the %s: %w", file.what, err)
		}
		*file.to = data
	}
	o.SSH.KnownHosts = hosts
	var err error
	if o.SSH.Passphrase, err = secret(a.SSHPassphrase, sshPassphraseVar); err != nil {
		return o, err
	}
	if o.Transport, err = network.Transport(); err != nil {
		return o, usage(fmt.Errorf("reaching the Git server: %w", err))
	}
	return o, a.sign(&o, key)
}

func (a gitAccess) sign(o *remote.Options, key []byte) error {
	if a.SigningKey == "" {
		return nil
	}
	passphrase, err := secret(a.SigningPassphrase, signingPassphraseVar)
	if err != nil {
		return err
	}
	if o.Signer, err = remote.NewSigner(key, passphrase); err != nil {
		return fmt.Errorf("reading the signing key %s: %w", a.SigningKey, err)
	}
	return nil
}

// credentials are nil where neither file nor environment has any.
func (a gitAccess) credentials() remote.Credentials {
	if a.UsernameFile == "" && a.PasswordFile == "" && os.Getenv(gitUsernameVar) == "" && os.Getenv(gitPasswordVar) == "" {
		return nil
	}
	return func(context.Context) (user, password string, err error) {
		name, err := secret(a.UsernameFile, gitUsernameVar)
		if err != nil {
			return "", "", err
		}
		word, err := secret(a.PasswordFile, gitPasswordVar)
		return string(name), string(word), err
	}
}

// secret is the content of a file without the line break at its end, else a variable's.
func secret(file, variable string) ([]byte, error) {
	if file == "" {
		return []byte(os.Getenv(variable)), nil
	}
	data, err := readBounded(file, maxSecret)
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	return []byte(strings.TrimRight(string(data), "\r\n")), nil
}

// defaultKnownHosts is the person's own file; empty: there is none.
func defaultKnownHosts() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	name := filepath.Join(home, ".ssh", "known_hosts")
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return name
}
