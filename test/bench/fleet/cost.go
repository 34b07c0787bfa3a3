package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Cost is what one act took of everybody.
type Cost struct {
	Seconds float64 `json:"seconds"`
	// Limit is the bare loop's time for the same objects, Ratio ours to that; zero where
	// there is no such loop.
	Limit float64 `json:"limitSeconds,omitempty"`
	// Seen is the loop's time until the controller manager has seen each Deployment.
	Seen  float64 `json:"seenSeconds,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
	// API counts requests by verb, as the API server's audit log has them; dry runs are
	// told apart, opened watches are counted, and leases are left out.
	API map[string]int `json:"apiRequests"`
	// Registry counts the requests that the registry got.
	Registry int64 `json:"registryRequests"`
	// CPU is Sealift's own, in seconds.
	CPU float64 `json:"cpuSeconds"`
	// Spent is the processor time of each program, and LimitSpent that of the bare loop's
	// site until its Deployments were seen.
	Spent      spent `json:"cpuSecondsByProgram"`
	LimitSpent spent `json:"limitCPUSecondsByProgram,omitempty"`
	// PeakBytes and SteadyBytes are resident memory, at most and at the end.
	PeakBytes   int64 `json:"peakBytes"`
	SteadyBytes int64 `json:"steadyBytes"`
}

// measure has act done, and says what it cost.
func (s *site) measure(act func() error) (Cost, error) {
	pid := s.process.Process.Pid
	before, err := s.spent()
	if err != nil {
		return Cost{}, err
	}
	// The kernel's peak begins anew.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200); err != nil {
		return Cost{}, err
	}
	asked, begun := s.asked.Load(), time.Now()
	if err := act(); err != nil {
		return Cost{}, err
	}
	c := Cost{Seconds: time.Since(begun).Seconds(), Registry: s.asked.Load() - asked}
	after, err := s.spent()
	if err != nil {
		return Cost{}, err
	}
	c.Spent = after.since(before)
	c.CPU = c.Spent[product]
	if c.PeakBytes, c.SteadyBytes, err = memoryOf(pid); err != nil {
		return Cost{}, err
	}
	c.API, err = s.requests(begun, time.Now())
	return c, err
}

// spent is processor time in seconds, by program: those of the control plane, Sealift, and
// the bench itself, which is the registry, the bare loop, and who waits for either.
type spent map[string]float64

const product, itself = "sealift", "bench"

func (s *site) spent() (spent, error) {
	ids := s.cluster.Processes()
	ids[itself] = os.Getpid()
	if s.process != nil {
		ids[product] = s.process.Process.Pid
	}
	all := spent{}
	for name, id := range ids {
		seconds, err := cpuOf(id)
		if err != nil {
			return nil, err
		}
		all[name] = seconds
	}
	return all, nil
}

func (s spent) since(before spent) spent {
	during := spent{}
	for name, seconds := range s {
		during[name] = seconds - before[name]
	}
	return during
}

// settle lets what trails an act come to its end: Events, the last answers.
func settle() { time.Sleep(3 * time.Second) }

func (s *site) requests(from, to time.Time) (map[string]int, error) {
	all, err := s.cluster.Requests()
	if err != nil {
		return nil, err
	}
	counted := map[string]int{}
	for _, r := range all {
		opened := r.Verb == "watch" && r.Stage == "ResponseStarted"
		if r.Verb == "watch" && !opened || strings.Contains(r.URI, "/leases") || r.Received.Before(from) || r.Received.After(to) {
			continue
		}
		counted[verbOf(r.Verb, r.URI)]++
	}
	return counted, nil
}

// verbOf tells the requests of a delivery apart.
func verbOf(verb, uri string) string {
	path, query, _ := strings.Cut(uri, "?")
	switch {
	case strings.Contains(query, "dryRun=All"):
		return "dry-run"
	case strings.HasSuffix(path, "/status"):
		return "status"
	case strings.Contains(path, "/events"):
		return "event"
	case verb == "patch" && strings.Contains(query, "fieldManager="):
		return "apply"
	}
	return verb
}

// cpuOf is the processor time of a process so far, in seconds.
func cpuOf(pid int) (float64, error) {
	const hertz = 100 // of Linux's clock ticks, as user space sees them
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("reading the processor time of a process: unexpected format")
	}
	var ticks float64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return ticks / hertz, nil
}

// memoryOf is the resident memory of a process: the most so far, and now.
func memoryOf(pid int) (peak, now int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		for name, into := range map[string]*int64{"VmHWM:": &peak, "VmRSS:": &now} {
			if rest, found := strings.CutPrefix(line, name); found {
				kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err != nil {
					return 0, 0, err
				}
				*into = kib << 10
			}
		}
	}
	return peak, now, nil
}
