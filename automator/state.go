package automator

import (
	"context"
	"fmt"
	"time"

	"sealift.dev/automator/ledger"
	"sealift.dev/automator/remote"
)

// refusedFor is how long a ledger that a server refused is not offered again.
const refusedFor = 10 * time.Minute

// state is the ledger as Git has it.
type state struct {
	ref  string // where it is kept
	tip  string // ref's commit, in hex; empty: it is not there
	data []byte // as read
}

// unsaved is a ledger that a server did not take.
type unsaved struct {
	branch string // that it is of; empty: there is none
	data   []byte
}

// readState reads the ledger. One that cannot be understood is lost: cool-downs start again,
// and holds are made again from the history.
func (a *Automator) readState(ctx context.Context, t *turn, refs map[string]string) error {
	if t.now.Sub(a.refusedAt) >= refusedFor {
		a.stateRefused = nil
	}
	first, second := ledger.Ref(t.branch), ledger.Branch(t.branch)
	t.state.ref = first
	if a.stateInBranch || refs[first] == "" && refs[second] != "" {
		t.state.ref = second
	}
	t.state.tip = refs[t.state.ref]
	switch {
	case t.state.tip == "":
	case t.state.tip == a.state.tip:
		t.state.data = a.state.data
	default:
		data, err := a.readLedger(ctx, t.state.tip)
		if err != nil {
			return fmt.Errorf("reading %s: %w", t.state.ref, err)
		}
		t.state.data = data
	}
	a.state = t.state
	t.ledger = &ledger.Ledger{}
	if a.stateRefused != nil {
		t.notes = append(t.notes, Note{File: ledger.File, Reason: fmt.Sprintf("the server does not take it, so only this process remembers: %v; hint: let the automator write %s", a.stateRefused, t.state.ref)})
	}
	if t.state.data == nil {
		return a.addUnsaved(t)
	}
	known, err := ledger.Parse(t.state.data)
	if err != nil {
		t.notes = append(t.notes, Note{File: ledger.File, Reason: fmt.Sprintf("what %s remembers is lost, and begun anew: %v", t.state.ref, err)})
		return a.addUnsaved(t)
	}
	t.ledger = known
	return a.addUnsaved(t)
}

// addUnsaved remembers what a server did not take.
func (a *Automator) addUnsaved(t *turn) error {
	if a.unsaved.branch != t.branch {
		return nil
	}
	mine, err := ledger.Parse(a.unsaved.data)
	if err == nil {
		t.ledger = ledger.Merge(t.ledger, mine)
	}
	return err
}

func (a *Automator) readLedger(ctx context.Context, tip string) ([]byte, error) {
	snapshot, err := a.git.Snapshot(ctx, tip)
	if err != nil {
		return nil, err
	}
	data, err := readOne(ctx, snapshot, ledger.File)
	if err != nil {
		return nil, err
	}
	if data == nil {
		data = []byte{} // it is there, and says nothing
	}
	return data, nil
}

// stateUpdate is the push of the ledger; nil: it is as it was.
func (a *Automator) stateUpdate(ctx context.Context, t *turn) (*remote.Update, []byte, error) {
	configured := make([]string, len(t.settings.images))
	for i, img := range t.settings.images {
		configured[i] = img.policy
	}
	t.ledger.Retain(configured)
	old, err := ledger.Parse(t.state.data)
	broken := err != nil && t.state.data != nil // readState noted it
	if !broken && !t.ledger.News(old) || a.stateRefused != nil {
		return nil, nil, nil
	}
	data, err := t.ledger.Encode()
	if err != nil {
		return nil, nil, fmt.Errorf("writing the ledger: %w", err)
	}
	message := remote.Message{Author: a.author(t), Text: "Remember what was seen and written\n", Time: t.now}
	commit, err := a.git.Commit(ctx, nil, map[string][]byte{ledger.File: data}, message)
	if err != nil {
		return nil, nil, fmt.Errorf("writing the ledger: %w", err)
	}
	return &remote.Update{Ref: t.state.ref, Old: t.state.tip, New: commit}, data, nil
}
