package httpx

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
)

// maxPooled is how many transports a Pool keeps.
const maxPooled = 256

// Pool shares connections between clients that reach hosts in the same way. The
// zero value is ready, and safe for concurrent use.
type Pool struct {
	mu     sync.Mutex
	clock  int
	pooled map[[32]byte]*pooled
}

type pooled struct {
	*Transport
	used int
}

// Transport gives the one transport of n. The one that was asked for longest ago
// is dropped where there are more than 256; who has it may go on with it.
func (p *Pool) Transport(n Network) (*Transport, error) {
	key := n.key()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	if known := p.pooled[key]; known != nil {
		known.used = p.clock
		return known.Transport, nil
	}
	transport, err := n.Transport()
	if err != nil {
		return nil, err
	}
	if p.pooled == nil {
		p.pooled = map[[32]byte]*pooled{}
	}
	if len(p.pooled) >= maxPooled {
		p.dropOldest()
	}
	p.pooled[key] = &pooled{Transport: transport, used: p.clock}
	return transport, nil
}

func (p *Pool) dropOldest() {
	var oldest [32]byte
	at := p.clock + 1
	for key, candidate := range p.pooled {
		if candidate.used < at {
			oldest, at = key, candidate.used
		}
	}
	p.pooled[oldest].CloseIdleConnections()
	delete(p.pooled, oldest)
}

// key tells networks apart without keeping their private keys.
func (n Network) key() [32]byte {
	hash := sha256.New()
	for _, part := range [][]byte{n.CA, n.ClientCert, n.ClientKey, []byte(n.Proxy), fmt.Append(nil, n.RefusePrivate)} {
		_ = binary.Write(hash, binary.BigEndian, int64(len(part))) // a hash takes everything
		hash.Write(part)
	}
	return [32]byte(hash.Sum(nil))
}
