package engine

import "time"

const (
	// fightHeals within fightWindow are a fight: someone undoes what we heal.
	fightHeals  = 5
	fightWindow = time.Minute
	// A fight pauses healing for firstPause, doubled each time up to lastPause.
	firstPause = 10 * time.Second
	lastPause  = 5 * time.Minute
)

// fight counts the heals of one object.
type fight struct {
	heals []time.Time
	level int
	until time.Time
	// over is the drift that was healed last.
	over *Drift
}

// healed counts one more heal; after too many of them the next has to wait.
func (f fight) healed(now time.Time) fight {
	if len(f.heals) > 0 && now.Sub(f.heals[len(f.heals)-1]) > 2*lastPause {
		f = fight{}
	}
	var recent []time.Time
	for _, h := range f.heals {
		if f.level > 0 || now.Sub(h) < fightWindow {
			recent = append(recent, h)
		}
	}
	recent = append(recent, now)
	f.heals = recent[max(0, len(recent)-fightHeals-1):]
	if len(f.heals) > fightHeals {
		pause := min(firstPause<<min(f.level, 10), lastPause)
		f.level++
		f.until = now.Add(pause)
	}
	return f
}

// fought counts a heal of ref from drift; it returns until when the two fight, zero
// when they do not.
func (t *tracker) fought(ref ObjectRef, now time.Time, drift *Drift) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.objects[ref]
	if r == nil {
		return time.Time{}
	}
	r.fight = r.fight.healed(now)
	r.fight.over = drift
	return r.fight.until
}
