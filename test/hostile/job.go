package hostile

import "time"

// Job is what a reader reads: a release, under policies.
type Job struct {
	Host, Repository, Tag string
	CA                    string // path of the authority's certificate; empty: plain HTTP
	Policies              string // TrustPolicy documents
	Environment           string
	Password              string // of the user "u", for every host that asks
}

// Outcome is what became of it.
type Outcome struct {
	Step    string // where it was refused: policy, resolve, verify, pull, decode; empty: it was delivered
	Reason  string // verify's, or what artifact and objects call it
	Message string
	Details string   // of the signatures that do not count
	Objects []string // KIND NAMESPACE/NAME
	Peak    int      // KiB resident at most
	CPU     time.Duration
}
