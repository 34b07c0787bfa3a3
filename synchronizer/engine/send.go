package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
)

const (
	// concurrency is how many requests one act has in flight.
	concurrency = 16
	// attempts at one request, with pauses from firstRetry doubling in between;
	// one more whenever the server says when to ask again.
	attempts   = 5
	firstRetry = 100 * time.Millisecond
	// longestPause before one more attempt, whatever the server asks for.
	longestPause = 10 * time.Second
	// retryBudget is the time from the first failure in which attempts begin.
	retryBudget = 20 * time.Second
	// requestTimeout bounds one attempt; webhooks may take 30 s by themselves.
	requestTimeout = 40 * time.Second
)

// each runs act for every step, 16 at a time, in the order given, and returns
// the errors by position. Nothing new is begun once ctx ended.
func each(ctx context.Context, steps []*Step, act func(*Step) error) []error {
	errs := make([]error, len(steps))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(concurrency, len(steps)) {
		workers.Go(func() {
			for i := range next {
				if errs[i] = ctx.Err(); errs[i] == nil {
					errs[i] = act(steps[i])
				}
			}
		})
	}
	for i := range steps {
		next <- i
	}
	close(next)
	workers.Wait()
	return errs
}

// patch sends one server-side apply and returns the object's new metadata.
func patch(ctx context.Context, client metadata.Interface, s *Step, dryRun, force bool) (*metav1.PartialObjectMetadata, error) {
	options := metav1.PatchOptions{
		FieldManager:    FieldManager,
		FieldValidation: metav1.FieldValidationStrict,
		Force:           &force,
	}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var answer *metav1.PartialObjectMetadata
	err := persist(ctx, func(ctx context.Context) error {
		var err error
		answer, err = client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace).
			Patch(ctx, s.Ref.Name, types.ApplyPatchType, s.body, options)
		return err
	})
	return answer, err
}

// persist tries act again while its failure may pass: with jitter, and within
// bounds not before the server asked to be asked again.
func persist(ctx context.Context, act func(context.Context) error) error {
	pause, left := firstRetry, attempts
	var deadline time.Time
	for {
		asked, err := attempt(ctx, act)
		left--
		if asked > 0 {
			left = max(left, 1)
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(retryBudget)
		}
		wait := min(max(pause/2+rand.N(pause), asked), longestPause)
		if err == nil || left == 0 || !transient(err) || time.Now().Add(wait).After(deadline) || sleep(ctx, wait) != nil {
			return err
		}
		pause *= 2
	}
}

// attempt acts once, and returns how long the server asked to be left alone.
func attempt(ctx context.Context, act func(context.Context) error) (time.Duration, error) {
	var asked time.Duration
	once, cancel := context.WithTimeout(context.WithValue(ctx, askedKey{}, &asked), requestTimeout)
	defer cancel()
	err := act(once)
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		asked = max(asked, time.Duration(seconds)*time.Second)
	}
	return asked, err
}

// askedKey is the context's key for where to leave a Retry-After.
type askedKey struct{}

// retryAfter takes Retry-After out of the answers to persist's requests:
// client-go would wait by itself, ten times and as long as it says.
type retryAfter struct{ next http.RoundTripper }

func newRetryAfter(next http.RoundTripper) http.RoundTripper { return retryAfter{next} }

// RoundTrip sends one request.
func (t retryAfter) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	asked, ours := r.Context().Value(askedKey{}).(*time.Duration)
	if err != nil || !ours {
		return answer, err
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		*asked = time.Duration(min(seconds, int(longestPause/time.Second))) * time.Second
		answer.Header.Del("Retry-After")
	}
	return answer, nil
}

// transient failures may pass by themselves. A conflict of field managers does
// not; a lost race between two writes does.
func transient(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return apierrors.IsConflict(err) && len(conflicts(err)) == 0 || code == 429 || code >= 500 && !misshapen(err)
	}
	var netErr net.Error
	return errors.As(err, &netErr)
}

// misshapen says that an object does not fit its kind's schema, which the API
// server reports as an internal error.
func misshapen(err error) bool {
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed to create typed patch object")
}

// conflicts lists the fields that an unforced apply would take, and from whom.
func conflicts(err error) []Takeover {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var out []Takeover
	for _, c := range status.Status().Details.Causes {
		if c.Type == metav1.CauseTypeFieldManagerConflict {
			out = append(out, Takeover{Field: c.Field, Manager: managerIn(c.Message)})
		}
	}
	return out
}
