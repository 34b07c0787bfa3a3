package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"time"
)

// stack is a running instance.
type stack struct {
	issuers   *issuers
	log       *certificateLog
	authority *authority
	timestamp *timestamp
	rekor     *rekor
}

func start(ctx context.Context, program, dir string) (s *stack, err error) {
	s = &stack{}
	if s.issuers, err = startIssuers(); err != nil {
		return nil, fmt.Errorf("starting the token issuers: %w", err)
	}
	if s.log, err = startCertificateLog(); err != nil {
		return nil, fmt.Errorf("starting the certificate log: %w", err)
	}
	if s.authority, err = startAuthority(ctx, s.issuers, s.log); err != nil {
		return nil, fmt.Errorf("starting the certificate authority: %w", err)
	}
	if s.timestamp, err = startTimestamp(ctx); err != nil {
		return nil, fmt.Errorf("starting the timestamp authority: %w", err)
	}
	if s.rekor, err = startRekor(ctx, program, dir); err != nil {
		return nil, fmt.Errorf("starting rekor: %w", err)
	}
	return s, nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// serve answers on a free port until the program ends, and returns the URL.
func serve(handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener)
	return "http://" + listener.Addr().String(), nil
}

// refuse answers with the error of the request.
func refuse(w http.ResponseWriter, err error) { http.Error(w, err.Error(), http.StatusBadRequest) }
