package stage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// account is the service account of an installed synchronizer.
const account = "system:serviceaccount:sealift-system:sealift-sync"

// auditPolicy has the API server write down each request of the user "sealift" and of that account,
// also when they impersonate somebody: when its answer begins (watches) or is complete.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, users: [sealift, "` + account + `"]}
- {level: None}
`

// Request is one request of the synchronizer as the API server recorded it.
type Request struct {
	Verb string `json:"verb"` // get, list, watch, create, patch, ...
	URI  string `json:"requestURI"`
	// Stage is ResponseStarted (watches only, when they open) or ResponseComplete.
	Stage     string    `json:"stage"`
	UserAgent string    `json:"userAgent"`
	Received  time.Time `json:"requestReceivedTimestamp"`
	Object    struct {
		Group       string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	ImpersonatedUser struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
}

// Requests returns what the user "sealift", or an installed synchronizer, asked of the API server
// since it started, oldest first.
func (c *ControlPlane) Requests() ([]Request, error) {
	file, err := os.Open(filepath.Join(c.dir, "audit.log"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var requests []Request
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return requests, nil // a last line without its end is still being written
		}
		if err != nil {
			return nil, err
		}
		var request Request
		if err := json.Unmarshal(bytes.TrimSpace(line), &request); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		requests = append(requests, request)
	}
}
