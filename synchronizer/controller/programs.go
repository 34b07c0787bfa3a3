package controller

import (
	"sync"

	"sealift.dev/internal/condition"
)

// maxPrograms bounds the compiled expressions that are kept.
const maxPrograms = 1000

// programs are compiled expressions over Deliveries. The zero value is empty.
type programs struct {
	mu   sync.Mutex
	kept map[string]*condition.Program
}

func (p *programs) compile(expression string) (*condition.Program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.kept[expression]; known != nil {
		return known, nil
	}
	program, err := condition.Compile(expression, condition.Object())
	if err != nil {
		return nil, err
	}
	if p.kept == nil || len(p.kept) >= maxPrograms {
		p.kept = map[string]*condition.Program{}
	}
	p.kept[expression] = program
	return program, nil
}
