package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/go-openapi/runtime"
	openapi "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	pb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekor "github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// newLog is a transparency log of either version, asked through client.
func newLog(s root.Service, client *http.Client) (sign.Transparency, error) {
	at, err := url.Parse(s.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the log's URL: %w", err)
	}
	options := &sign.RekorOptions{BaseURL: s.URL, Version: s.MajorAPIVersion, Timeout: -1}
	if s.MajorAPIVersion == 1 {
		options.Client = rekorV1(at, client).Entries
	} else {
		options.ClientV2 = rekorV2{at: at, client: client}
	}
	return sign.NewRekor(options), nil
}

// rekorV1 is upstream's client over our transport.
func rekorV1(at *url.URL, client *http.Client) *rekor.Rekor {
	base := at.Path
	if base == "" {
		base = rekor.DefaultBasePath
	}
	transport := openapi.NewWithClient(at.Host, base, []string{at.Scheme}, client)
	transport.Consumers["application/json"] = runtime.JSONConsumer()
	transport.Producers["application/json"] = runtime.JSONProducer()
	return rekor.New(transport, strfmt.Default)
}

// rekorV2 adds entries to a log of version 2:
// https://github.com/sigstore/rekor-tiles/blob/main/docs/openapi.
type rekorV2 struct {
	at     *url.URL
	client *http.Client
}

// errLogged means that the log has this very signature.
var errLogged = errors.New("the log has this signature already")

// Add implements sign.RekorV2Client.
func (r rekorV2) Add(ctx context.Context, entry any) (*pb.TransparencyLogEntry, error) {
	hashed, ok := entry.(*tiles.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("a %T is no entry of Rekor v2", entry)
	}
	body, err := protojson.Marshal(&tiles.CreateEntryRequest{Spec: &tiles.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: hashed}})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.at.JoinPath("/api/v2/log/entries").String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	var failed *statusError
	if errors.As(err, &failed) && failed.status == http.StatusConflict {
		return nil, fmt.Errorf("%w: %w", errLogged, plain(err))
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body) // bounded by the courier
	if err != nil {
		return nil, err
	}
	var added pb.TransparencyLogEntry
	if err := protojson.Unmarshal(answer, &added); err != nil {
		return nil, fmt.Errorf("reading the answer of the transparency log at %s: %w", r.at, err)
	}
	return &added, nil
}
