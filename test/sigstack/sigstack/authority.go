package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"strings"

	ctclient "github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/sigstore/fulcio/pkg/ca/ephemeralca"
	"github.com/sigstore/fulcio/pkg/config"
	"github.com/sigstore/fulcio/pkg/generated/protobuf"
	"github.com/sigstore/fulcio/pkg/server"
	pbcommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/grpc/metadata"
)

// authority is Fulcio's own server; its key lives as long as the process.
type authority struct {
	url   string
	chain []*x509.Certificate // the root is the last
}

func startAuthority(ctx context.Context, from *issuers, log *certificateLog) (*authority, error) {
	settings, err := fulcioConfig(from)
	if err != nil {
		return nil, err
	}
	ca, err := ephemeralca.NewEphemeralCA()
	if err != nil {
		return nil, err
	}
	bundle, err := ca.TrustBundle(ctx)
	if err != nil {
		return nil, err
	}
	logClient, err := ctclient.New(log.url, http.DefaultClient, jsonclient.Options{})
	if err != nil {
		return nil, err
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig([]pbcommon.PublicKeyDetails{
		pbcommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		pbcommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		pbcommon.PublicKeyDetails_PKIX_ED25519,
	})
	if err != nil {
		return nil, err
	}
	fulcio := server.NewGRPCCAServer(logClient, ca, algorithms, server.NewIssuerPool(settings))
	mux := runtime.NewServeMux(runtime.WithMetadata(func(_ context.Context, r *http.Request) metadata.MD {
		return metadata.Pairs(server.MetadataOIDCTokenKey, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}))
	if err := protobuf.RegisterCAHandlerServer(ctx, mux, fulcio); err != nil {
		return nil, err
	}
	a := &authority{chain: bundle[0]}
	a.url, err = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(config.With(r.Context(), settings)))
	}))
	return a, err
}

// fulcioConfig trusts every issuer.
func fulcioConfig(from *issuers) (*config.FulcioConfig, error) {
	trusted := map[string]any{}
	for name, issuer := range known() {
		trusted[from.of(name)] = map[string]any{"IssuerURL": from.of(name), "ClientID": audience, "Type": issuer.kind}
	}
	raw, err := json.Marshal(map[string]any{"OIDCIssuers": trusted})
	if err != nil {
		return nil, err
	}
	return config.Read(raw)
}
