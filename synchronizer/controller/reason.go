package controller

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"sealift.dev/artifact"
	"sealift.dev/internal/text"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/verify"
)

const (
	// reasonRevoked is the reason of a running release that is no longer trusted.
	reasonRevoked = "TrustRevoked"
	// reasonDependency is the reason of a release that waits for other Deliveries,
	// which is no failure.
	reasonDependency = "DependencyNotReady"
	// reasonDegraded is the reason of a release that was healthy and is not now.
	reasonDegraded = "Degraded"
	// reasonAwaiting is the reason of a release whose deletions a person has to confirm.
	reasonAwaiting = "AwaitingConfirmation"
	// reasonTerminating is the reason of a deleted Delivery that waits for its objects.
	reasonTerminating = "Terminating"
)

// cause is a line of the table from errors to reasons. Stalled says that only a
// person can help.
type cause struct {
	is      func(error) bool
	reason  string
	stalled bool
}

// causes is the one table from errors to the status; docs/delivery.md lists it.
// The first line that matches counts.
func causes() []cause {
	return []cause{
		{is(errInvalidSpec), "InvalidSpec", true},
		{is(synchronizer.ErrInvalidHealth), "InvalidSpec", true},
		{is(errInvalidPolicy), "InvalidTrustPolicy", true},
		{is(errNoPolicy), "NoTrustPolicy", true},
		{is(errTrustSecret), "TrustSecretNotFound", false},
		{is(errPullSecret), "PullSecretNotFound", false},
		{is(errCertSecret), "CertSecretNotFound", false},
		{is(errCycle), "DependencyCycle", true},
		{is(errNotReady), reasonDependency, false},
		{is(errSubstituteSource), "SubstituteSourceNotFound", false},
		{is(errDecryptionKey), "DecryptionKeyNotFound", false},
		{is(synchronizer.ErrTrustRevoked), reasonRevoked, true},
		{is(synchronizer.ErrDowngrade), "Downgrade", true},
		{is(synchronizer.ErrEquivocation), "Equivocation", true},
		{is(synchronizer.ErrNoEnvironment), "EnvironmentNotFound", true},
		{is(synchronizer.ErrHeld), "Held", true},
		{is(synchronizer.ErrUnhealthy), "Unhealthy", false},
		{is(engine.ErrUnknownKind), "UnknownKind", false},
		{is(engine.ErrUnsupportedKind), "UnsupportedKind", true},
		{is(engine.ErrHookFailed), "HookFailed", false},
		{is(engine.ErrInvalidTarget), "InvalidRelease", true},
		{is(engine.ErrOwnedByAnother), "OwnedByAnother", true},
		{apierrors.IsForbidden, "Forbidden", false},
		{is(artifact.ErrUnauthorized), "RegistryUnauthorized", false},
		{is(artifact.ErrUnavailable), "RegistryUnavailable", false},
		{is(artifact.ErrNotFound), "ReleaseNotFound", false},
		{is(artifact.ErrCorrupt), "ReleaseCorrupt", false},
		{is(artifact.ErrLimit), "LimitExceeded", false},
		{atTailor, "TailorFailed", true},
	}
}

func atTailor(err error) bool {
	var step *synchronizer.Error
	return errors.As(err, &step) && step.Step == synchronizer.Tailor
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// byStep is the reason for what the table does not know.
func byStep() map[synchronizer.Step]string {
	return map[synchronizer.Step]string{
		synchronizer.Resolve:   "ResolveFailed",
		synchronizer.Verify:    "VerifyFailed",
		synchronizer.Pull:      "InvalidRelease",
		synchronizer.Decode:    "InvalidRelease",
		synchronizer.Plan:      "PlanFailed",
		synchronizer.Preflight: "PreflightFailed",
		synchronizer.Begin:     "StatusFailed",
		synchronizer.Apply:     "ApplyFailed",
		synchronizer.Wait:      "HealthFailed",
		synchronizer.Prune:     "PruneFailed",
		synchronizer.Depend:    reasonDependency,
	}
}

// reasonOf gives the condition's reason for err.
func reasonOf(err error) (reason string, stalled bool) {
	var quarantined *synchronizer.QuarantineError
	if errors.As(err, &quarantined) {
		return "RolledBack", true
	}
	var refusal *verify.Refusal
	if errors.As(err, &refusal) && !errors.Is(err, synchronizer.ErrTrustRevoked) {
		return string(refusal.Reason), false
	}
	for _, c := range causes() {
		if c.is(err) {
			return c.reason, c.stalled
		}
	}
	var step *synchronizer.Error
	if errors.As(err, &step) {
		return byStep()[step.Step], false
	}
	return "Failed", false
}

func deliveringMessage(r synchronizer.Release) string { return "delivering " + describe(r) }

// objectsReady is in what waitingMessage says of objects, and in nothing else.
const objectsReady = " objects are ready"

// waitingMessage says what a release on its way waits for.
func waitingMessage(asked synchronizer.Delivery, out synchronizer.Outcome) string {
	if out.Running == nil {
		return "resolving the source"
	}
	message := deliveringMessage(*out.Running)
	if out.Report.Awaits != "" {
		return fmt.Sprintf("%s: %d of %d%s; waiting: %s", message, out.Health.Ready, out.Health.Total, objectsReady, out.Report.Awaits)
	}
	return fmt.Sprintf("%s: %d of %d%s (%s)", message, out.Health.Ready, out.Health.Total, objectsReady, synchronizer.Unhealthy(out.Health))
}

// describe names a release as a person would: revision, version, signers.
func describe(r synchronizer.Release) string {
	var parts []string
	if r.Statement.Revision != "" {
		parts = append(parts, plain(r.Statement.Revision))
	}
	if r.Statement.Version != "" {
		parts = append(parts, "version "+plain(r.Statement.Version))
	}
	if len(parts) == 0 {
		parts = append(parts, r.Ref.Digest.String())
	}
	if len(r.SignedBy) > 0 {
		parts = append(parts, "signed by "+strings.Join(r.SignedBy, " and "))
	}
	return strings.Join(parts, ", ")
}

// plain makes foreign text safe for a terminal; 256 bytes are enough.
func plain(s string) string { return text.Line(s, 256) }

// clip bounds a message and keeps it printable.
func clip(s string) string { return text.Line(s, maxMessage) }
