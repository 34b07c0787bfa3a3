package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// maxPolicyBytes bounds policy and key files.
const maxPolicyBytes = 1 << 20

// trustFlags say whom to trust.
type trustFlags struct {
	policy  string
	key     string
	keyless policy.Keyless
	root    rootFlags
}

func (f *trustFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.policy, "policy", "", "file with TrustPolicy documents")
	flags.StringVar(&f.key, "key", "", "file with a public key (PEM), such as cosign.pub; signatures of either format count")
	flags.StringVar(&f.keyless.Subject, "certificate-identity", "", "the signer that a keyless signature's certificate names, such as a workflow's URL")
	flags.StringVar(&f.keyless.SubjectRegexp, "certificate-identity-regexp", "", "an anchored regular expression for it")
	flags.StringVar(&f.keyless.Issuer, "certificate-oidc-issuer", "", "the issuer of the signer's token, such as https://token.actions.githubusercontent.com")
	flags.StringVar(&f.keyless.IssuerRegexp, "certificate-oidc-issuer-regexp", "", "an anchored regular expression for it")
	f.root.register(flags)
}

// given says that anybody is named as trusted.
func (f *trustFlags) given() bool {
	return f.policy != "" || f.key != "" || f.keyless != (policy.Keyless{})
}

// connect makes the verifier, and the policies that the flags name.
func (f *trustFlags) connect(context.Context) (*verify.Verifier, []verify.NamedPolicy, error) {
	policies, err := f.policies()
	if err != nil {
		return nil, nil, err
	}
	options, err := f.root.options()
	if err != nil {
		return nil, nil, err
	}
	verifier, err := verify.New(options)
	if err != nil {
		return nil, nil, err
	}
	return verifier, policies, nil
}

// policies are those of the file, or one made of the key or the identity.
func (f *trustFlags) policies() ([]verify.NamedPolicy, error) {
	ways := 0
	for _, given := range []bool{f.policy != "", f.key != "", f.keyless != (policy.Keyless{})} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return nil, usage(errors.New("say whom to trust: exactly one of --policy, --key, and --certificate-identity with --certificate-oidc-issuer"))
	case f.policy != "":
		return readPolicies(f.policy)
	case f.key != "":
		return ofKey(f.key)
	}
	return ofIdentity(f.keyless)
}

func readPolicies(path string) ([]verify.NamedPolicy, error) {
	data, err := readBounded(path, maxPolicyBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	policies, err := policy.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading policy %s: %w", path, err)
	}
	return policies, nil
}

func ofKey(path string) ([]verify.NamedPolicy, error) {
	data, err := readBounded(path, maxPolicyBytes)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	named, err := policy.OfKey(data)
	if err != nil {
		return nil, usage(fmt.Errorf("--key %s: %w", path, err))
	}
	return []verify.NamedPolicy{named}, nil
}

// ofIdentity is a policy of one keyless signer, whose signature in either format counts.
func ofIdentity(who policy.Keyless) ([]verify.NamedPolicy, error) {
	named, err := policy.OfIdentity(who)
	if err != nil {
		return nil, usage(err)
	}
	return []verify.NamedPolicy{named}, nil
}

// rootFlags say which Sigstore instance keyless signatures are held against.
type rootFlags struct {
	trustedRoot string
	mirror      string
	root        string
}

func (f *rootFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.trustedRoot, "trusted-root", "", "trusted_root.json for keyless signatures (default that of the public Sigstore instance, fetched when it is needed)")
	flags.StringVar(&f.mirror, "tuf-mirror", "", "URL of the TUF repository that the trusted root is fetched from (default the public Sigstore instance's)")
	flags.StringVar(&f.root, "tuf-root", "", "root.json that the TUF repository is checked with (default the public Sigstore instance's)")
}

// options are the verifier's, as far as flags say them.
func (f *rootFlags) options() (verify.Options, error) {
	if f.trustedRoot != "" {
		if f.mirror != "" || f.root != "" {
			return verify.Options{}, usage(errors.New("--trusted-root goes without --tuf-mirror and --tuf-root"))
		}
		data, err := readBounded(f.trustedRoot, maxPolicyBytes)
		if err != nil {
			return verify.Options{}, fmt.Errorf("reading the trusted root: %w", err)
		}
		return verify.Options{TrustedRoot: data}, nil
	}
	if f.mirror != "" && f.root == "" {
		return verify.Options{}, usage(errors.New("--tuf-mirror needs --tuf-root, the root.json of that repository"))
	}
	public := &verify.PublicRoot{Mirror: f.mirror, Cache: tufCache()}
	if f.root != "" {
		data, err := readBounded(f.root, maxPolicyBytes)
		if err != nil {
			return verify.Options{}, fmt.Errorf("reading the TUF root: %w", err)
		}
		public.Root = data
	}
	return verify.Options{Public: public}, nil
}

// tufCache keeps what TUF repositories said; empty: there is no place for it.
func tufCache() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(folder, "sealift", "tuf")
}
