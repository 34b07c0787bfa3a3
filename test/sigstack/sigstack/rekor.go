package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
)

// origin is the name in the log's checkpoints.
const origin = "rekor.sigstack.local"

// rekor is the child that runs the transparency log.
type rekor struct {
	url string
	key *ecdsa.PrivateKey
	id  []byte // of the key and the origin
	log string // what it says

	cmd   *exec.Cmd
	alive io.Closer     // its standard input: it ends when this is closed
	done  chan struct{} // closed when it has ended
	err   error         // why; read only after done
}

// startRekor starts the program on ports that were free a moment ago, and again where another
// program took one of them in between.
func startRekor(ctx context.Context, program, dir string) (*rekor, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "rekor.key")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	_, id, err := note.KeyHash(origin, key.Public())
	if err != nil {
		return nil, err
	}
	const attempts = 3
	for range attempts {
		r := &rekor{key: key, id: id, log: filepath.Join(dir, "rekor.log"), done: make(chan struct{})}
		if err = r.start(program, dir, path); err != nil {
			return nil, err
		}
		if err = r.ready(ctx); err == nil {
			return r, nil
		}
		r.stop()
	}
	return nil, err
}

func (r *rekor) start(program, dir, key string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	storage := filepath.Join(dir, "rekor")
	if err := os.RemoveAll(storage); err != nil { // another key's log
		return err
	}
	r.url = "http://127.0.0.1:" + ports[0]
	r.cmd = exec.Command(program, "serve", "--hostname", origin, "--signer-filepath", key, "--signer-password", "",
		"--storage-dir", storage, "--checkpoint-interval", "100ms", "--batch-max-age", "20ms",
		"--http-port", ports[0], "--grpc-port", ports[1], "--http-metrics-port", ports[2])
	log, err := os.Create(r.log)
	if err != nil {
		return err
	}
	defer log.Close()
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if r.alive, err = r.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go func() {
		if r.err = r.cmd.Wait(); r.err == nil {
			r.err = errors.New("exit status 0")
		}
		close(r.done)
	}()
	return nil
}

// stop ends the child and waits for it.
func (r *rekor) stop() {
	r.alive.Close()
	<-r.done
}

// ready waits until the log answers.
func (r *rekor) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := r.healthy(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("%w; hint: its log is %s", r.err, r.log)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last answer: %w)", r.url, ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *rekor) healthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// freePorts returns ports that nobody listens on now, all different.
func freePorts(count int) ([]string, error) {
	var ports []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // held until all are chosen
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
