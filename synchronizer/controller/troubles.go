package controller

import (
	"log/slog"
	"sync"
	"time"
)

// troublesRest is how long the log says nothing of the cache after it said something.
const troublesRest = 10 * time.Minute

// troubles are those of the cache: a full disk would be told of with each release.
type troubles struct {
	log *slog.Logger

	mu    sync.Mutex
	told  time.Time
	since int // how many were not told of
}

func (t *troubles) tell(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.told.IsZero() && time.Since(t.told) < troublesRest {
		t.since++
		return
	}
	t.log.Warn("the cache does not work", "error", err, "untold", t.since)
	t.told, t.since = time.Now(), 0
}
