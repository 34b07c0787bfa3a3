package engine

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	// ErrUnknownKind says that the cluster does not serve an object's kind.
	ErrUnknownKind = errors.New("the cluster does not serve this kind")
	// ErrUnsupportedKind says that objects of a kind cannot be kept as they are wanted.
	ErrUnsupportedKind = errors.New("objects of this kind cannot be kept")
	// ErrOwnedByAnother says that another owner's apply entry holds an object.
	ErrOwnedByAnother = errors.New("belongs to another Delivery")
	// ErrInvalidTarget says that the wanted objects contradict each other or themselves.
	ErrInvalidTarget = errors.New("invalid set of objects")
	// ErrHookFailed says that a hook of a release did not succeed.
	ErrHookFailed = errors.New("hook failed")
)

// maxFailures bounds how many failures an error names.
const maxFailures = 20

// Failure is one object that could not be treated.
type Failure struct {
	Ref ObjectRef
	Err error
}

// Failures is the error of an act over several objects. List holds at most 20
// of the Total failures, in the order of the plan.
type Failures struct {
	Act   string
	Total int
	List  []Failure
}

// Error names every listed object.
func (f *Failures) Error() string {
	var b strings.Builder
	for i, one := range f.List {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s %s: %v", f.Act, one.Ref, one.Err)
	}
	if more := f.Total - len(f.List); more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// Transient says that all listed causes may pass: a busy or unreachable API
// server, a lost race. One that does not means that another try is in vain.
func (f *Failures) Transient() bool {
	return !slices.ContainsFunc(f.List, func(one Failure) bool { return !transient(one.Err) })
}

// Unwrap gives the listed causes.
func (f *Failures) Unwrap() []error {
	causes := make([]error, len(f.List))
	for i, one := range f.List {
		causes[i] = one.Err
	}
	return causes
}

// failed collects the errors of steps, nil when there are none.
func failed(act string, steps []*Step, errs []error, user string) error {
	f := &Failures{Act: act}
	for i, err := range errs {
		if err == nil {
			continue
		}
		f.Total++
		if len(f.List) < maxFailures {
			f.List = append(f.List, Failure{Ref: steps[i].Ref, Err: explain(steps[i], user, err)})
		}
	}
	if f.Total == 0 {
		return nil
	}
	return f
}

// explain makes a refusal of the API server fit to be shown: what a Secret
// holds is never in it, and a missing right names who lacks it.
func explain(s *Step, user string, err error) error {
	fields := frozen(err)
	if s.Ref.Group == coreGroup && s.Ref.Kind == "Secret" {
		err = redact(err)
	}
	if len(fields) > 0 && s.asks.recreate == "" {
		return fmt.Errorf("%w; hint: give it another name, or let it be deleted and created again by the annotation %srecreate: enabled", err, sealiftPrefix)
	}
	if apierrors.IsForbidden(err) && user != "" && strings.Contains(err.Error(), user) {
		where := "in the cluster"
		if s.Ref.Namespace != "" {
			where = "in namespace " + s.Ref.Namespace
		}
		return fmt.Errorf("%w; hint: grant %s the verbs create, patch and delete on %s %s",
			err, user, s.resource.gvr.GroupResource(), where)
	}
	return err
}

// missingRight is what RBAC itself says about a Secret; empty for everyone
// else's words, since an admission policy may quote what it refuses.
func missingRight(message string) string {
	return regexp.MustCompile(`^secrets "[^"]*" is forbidden: User "[^"]*" cannot [a-z]+ resource "secrets" in API group "" ` +
		`(in the namespace "[^"]*"|at the cluster scope)`).FindString(message)
}

// redact keeps what was refused and where, and drops the server's prose, which
// may quote values.
func redact(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	s := status.Status()
	var fields []string
	var causes []metav1.StatusCause
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			fields = append(fields, c.Field)
			causes = append(causes, metav1.StatusCause{Type: c.Type, Field: c.Field})
		}
		s.Details.Causes = causes
	}
	missing := missingRight(s.Message)
	switch {
	case apierrors.IsForbidden(err) && missing != "":
		s.Message = missing
	case misshapen(err):
		// A path and what was expected there; the value follows.
		s.Message, _, _ = strings.Cut(s.Message, ", got ")
	default:
		s.Message = strings.TrimSpace(fmt.Sprintf("the API server refused it: %s (%d) %s", s.Reason, s.Code, strings.Join(fields, ", ")))
	}
	return &apierrors.StatusError{ErrStatus: s}
}
