package automator

import (
	"fmt"
	"strings"
	"time"

	"sealift.dev/automator/registry"
)

// complete checks the options and fills in the defaults.
func (o Options) complete() (Options, error) {
	if o.Author == (Author{}) {
		o.Author = Author{Name: "Sealift", Email: "automator@sealift.dev"}
	}
	if err := o.Author.check(); err != nil {
		return o, err
	}
	if o.Branch != "" && !isBranchName(o.Branch) {
		return o, fmt.Errorf("%q is no name of a branch", o.Branch)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Registry == nil {
		var err error
		if o.Registry, err = registry.New(registry.Options{PlainHTTP: o.Git.PlainHTTP}); err != nil {
			return o, err
		}
	}
	o.Git.URL = o.Repo
	return o, nil
}

func (a Author) check() error {
	const most = 200
	if a.Name == "" || strings.ContainsAny(a.Name+a.Email, "<>\r\n\x00") || len(a.Name+a.Email) > most {
		return fmt.Errorf("author %q <%q>: a name is needed, of %d bytes at most with the address, and neither may hold <, > or line breaks", a.Name, a.Email, most)
	}
	return nil
}
