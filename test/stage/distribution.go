package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// DistributionOptions of a distribution registry. The zero value is an open one.
type DistributionOptions struct {
	// User and Password are asked for by basic authentication. Empty: nobody is asked.
	User, Password string
	// PageTags is how many tags a page of a list has at most. Zero: 1,000.
	PageTags int
}

// Distribution is the registry of the distribution project, a program of its own. It has no
// referrers API.
type Distribution struct {
	Host string // address and port, as in an image reference

	group   *group
	process *process
}

// StartDistribution starts the program "registry" of the folder bin on a free port, over plain
// HTTP, with its data and log in dir.
func StartDistribution(ctx context.Context, bin, dir string, options DistributionOptions) (*Distribution, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	d := &Distribution{Host: ports[0]}
	if err := d.start(ctx, bin, dir, options); err != nil {
		d.Stop()
		return nil, fmt.Errorf("starting the registry in %s: %w", dir, err)
	}
	return d, nil
}

// Stop ends the program; its data stays.
func (d *Distribution) Stop() {
	if d.process != nil {
		d.process.stop()
	}
	if d.group != nil {
		d.group.close()
		d.group = nil
	}
}

func (d *Distribution) start(ctx context.Context, bin, dir string, options DistributionOptions) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	config, err := distributionConfig(d.Host, dir, options)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return err
	}
	if d.group, err = newGroup(); err != nil {
		return err
	}
	if d.process, err = d.group.start(dir, filepath.Join(bin, "registry"), "serve", path); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return until(ctx, []*process{d.process}, "it answers", d.answers)
}

// answers is nil once the registry speaks HTTP, be it to ask for a password.
func (d *Distribution) answers(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Host+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// distributionConfig is JSON, which is YAML.
func distributionConfig(host, dir string, options DistributionOptions) ([]byte, error) {
	type object = map[string]any
	config := object{
		"version": 0.1,
		"log":     object{"level": "warn"},
		"storage": object{
			"filesystem": object{"rootdirectory": filepath.Join(dir, "data")},
			"delete":     object{"enabled": true},
		},
		"http": object{"addr": host},
	}
	if options.PageTags > 0 {
		config["tags"] = object{"maxtags": options.PageTags}
	}
	if options.User != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(options.Password), bcrypt.MinCost)
		if err != nil {
			return nil, fmt.Errorf("hashing the password: %w", err)
		}
		path := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(path, fmt.Appendf(nil, "%s:%s\n", options.User, hash), 0o600); err != nil {
			return nil, err
		}
		config["auth"] = object{"htpasswd": object{"realm": "registry", "path": path}}
	}
	return json.Marshal(config)
}
