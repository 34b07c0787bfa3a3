package automator

import "sync"

// scans is what is known of the tags of images, between passes. It is safe for concurrent use:
// hints come at any time.
type scans struct {
	mu     sync.Mutex
	images map[string]scanned // by NAMESPACE:NAME
	repos  map[string]bool    // those that are followed, in their canonical spelling
	hints  map[string]bool    // of these, those that a webhook spoke of
}

func newScans() *scans {
	return &scans{images: map[string]scanned{}, repos: map[string]bool{}, hints: map[string]bool{}}
}

func (s *scans) get(policy string) scanned {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.images[policy]
}

func (s *scans) set(policy string, found scanned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[policy] = found
}

// keep forgets the images that are not followed any more.
func (s *scans) keep(followed settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	images, repos := map[string]scanned{}, map[string]bool{}
	for _, img := range followed.images {
		images[img.policy] = s.images[img.policy]
		repos[canonical(img.Image.Image)] = true
	}
	for repo := range s.hints {
		if !repos[repo] {
			delete(s.hints, repo)
		}
	}
	s.images, s.repos = images, repos
}

func (s *scans) follows(image string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[canonical(image)]
}

func (s *scans) hint(repo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hints[repo] = true
}

func (s *scans) isHinted(image string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hints[canonical(image)]
}

// takeHint clears a hint before the list is made: one that comes meanwhile counts again.
func (s *scans) takeHint(repo string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	hinted := s.hints[repo]
	delete(s.hints, repo)
	return hinted
}
