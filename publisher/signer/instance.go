package signer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	pb "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/tuf"

	"sealift.dev/internal/httpx"
	"sealift.dev/internal/strict"
	"sealift.dev/verify"
)

const (
	// MaxSigningConfigBytes is the size of the largest signing config that is read.
	MaxSigningConfigBytes = 256 << 10
	maxServices           = 32 // of one kind in a signing config
)

// Instance is a Sigstore instance as those who sign see it.
type Instance struct{ config *pb.SigningConfig }

// ParseInstance reads a Sigstore signing config v0.2, as cosign signing-config
// create writes it.
func ParseInstance(data []byte) (*Instance, error) {
	instance, err := parseInstance(data)
	if err != nil {
		return nil, fmt.Errorf("reading the signing config: %w", err)
	}
	return instance, nil
}

func parseInstance(data []byte) (*Instance, error) {
	if len(data) > MaxSigningConfigBytes {
		return nil, fmt.Errorf("it has more than the limit of %d bytes", MaxSigningConfigBytes)
	}
	var value any // duplicate keys and depth
	if err := strict.Unmarshal(data, &value); err != nil {
		return nil, err
	}
	config, err := root.NewSigningConfigProtobuf(data)
	if err != nil {
		return nil, err
	}
	if config.GetMediaType() != root.SigningConfigMediaType02 {
		return nil, fmt.Errorf("its media type is %q, not %q", config.GetMediaType(), root.SigningConfigMediaType02)
	}
	for kind, services := range map[string][]*pb.Service{
		"caUrls": config.GetCaUrls(), "rekorTlogUrls": config.GetRekorTlogUrls(), "tsaUrls": config.GetTsaUrls(),
	} {
		if len(services) > maxServices {
			return nil, fmt.Errorf("%s has %d entries, more than %d", kind, len(services), maxServices)
		}
		for _, s := range services {
			if err := checkURL(s.GetUrl()); err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	return &Instance{config: config}, nil
}

// checkURL wants TLS, because tokens go there, except on this machine.
func checkURL(s string) error {
	at, err := url.Parse(s)
	if err != nil || at.Host == "" || at.User != nil {
		return fmt.Errorf("%q is no URL of a service", s)
	}
	if at.Scheme != "https" && !(at.Scheme == "http" && httpx.IsLoopback(at.Hostname())) {
		return fmt.Errorf("%q: https is wanted", s)
	}
	return nil
}

// services are those of an instance that one signature is made with.
type services struct {
	authority  *sign.Fulcio
	timestamps []*sign.TimestampAuthority
	logs       []sign.Transparency
	// logVersion is Rekor's major version; 0: no log.
	logVersion uint32
}

// choose picks the services that count now, as the config says. The services
// belong to ctx: they are good for one act of signing.
func (i *Instance) choose(ctx context.Context, now time.Time) (services, error) {
	var s services
	if i == nil {
		return s, nil
	}
	if list := readServices(i.config.GetCaUrls()); len(list) > 0 {
		ca, err := root.SelectService(list, sign.FulcioAPIVersions, now)
		if err != nil {
			return s, fmt.Errorf("choosing a certificate authority from the signing config: %w", err)
		}
		s.authority = sign.NewFulcio(&sign.FulcioOptions{BaseURL: ca.URL, Timeout: -1, Transport: newCourier(ctx, "the certificate authority (Fulcio)")})
	}
	stamps, err := selectAll(i.config.GetTsaUrls(), i.config.GetTsaConfig(), sign.TimestampAuthorityAPIVersions, now)
	if err != nil {
		return s, fmt.Errorf("choosing a timestamp authority from the signing config: %w", err)
	}
	for _, t := range stamps {
		s.timestamps = append(s.timestamps, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{
			URL: t.URL, Timeout: -1, Transport: newCourier(ctx, "the timestamp authority")}))
	}
	logs, err := selectAll(i.config.GetRekorTlogUrls(), i.config.GetRekorTlogConfig(), sign.RekorAPIVersions, now)
	if err != nil {
		return s, fmt.Errorf("choosing a transparency log from the signing config: %w", err)
	}
	for _, l := range logs {
		log, err := newLog(l, &http.Client{Transport: newCourier(ctx, "the transparency log (Rekor)")})
		if err != nil {
			return s, err
		}
		s.logs, s.logVersion = append(s.logs, log), l.MajorAPIVersion
	}
	return s, nil
}

// readServices leaves out nothing: the selection looks at versions and times.
func readServices(list []*pb.Service) []root.Service {
	var all []root.Service
	for _, s := range list {
		all = append(all, root.NewService(s))
	}
	return all
}

func selectAll(list []*pb.Service, config *pb.ServiceConfiguration, versions []uint32, now time.Time) ([]root.Service, error) {
	if len(list) == 0 {
		return nil, nil
	}
	return root.SelectServices(readServices(list), root.ServiceConfiguration{Selector: config.GetSelector(), Count: config.GetCount()}, versions, now)
}

// keylessProblem says what the services lack for a certificate that lives minutes:
// somebody who vouches that it was used in time, and a log.
func (s services) keylessProblem() error {
	switch {
	case s.authority == nil:
		return errors.New("the signing config names no certificate authority (caUrls); hint: sign with --key, or take the instance's own config")
	case s.logVersion == 0:
		return errors.New("the signing config names no transparency log (rekorTlogUrls), without which nobody accepts a keyless signature")
	case s.logVersion > 1 && len(s.timestamps) == 0:
		return errors.New("the signing config names no timestamp authority (tsaUrls), and Rekor v2 gives no time")
	}
	return nil
}

const instanceTarget = "signing_config.v0.2.json"

// FetchInstance gets the signing config of the public instance, or of another one that
// has a TUF repository.
func FetchInstance(ctx context.Context, from verify.PublicRoot) (*Instance, error) {
	data, err := from.Target(ctx, instanceTarget)
	if err != nil {
		return nil, fmt.Errorf("fetching the signing config from %s: %w; hint: name a file with --signing-config where there is no way there", cmp.Or(from.Mirror, tuf.DefaultMirror), err)
	}
	return ParseInstance(data)
}
