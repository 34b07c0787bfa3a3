package synchronizer

import (
	"testing"
	"time"

	"sealift.dev/artifact"
)

// TestUnhealthyCountsTimeSomebodyLooked: the clock of the health deadline does not
// run while the process is down or the Delivery suspended.
func TestUnhealthyCountsTimeSomebodyLooked(t *testing.T) {
	one := artifact.Ref{Digest: "sha256:one"}
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	tests := []struct {
		name  string
		clock unhealthy
		wrote bool
		want  time.Duration
	}{
		{"the first look", unhealthy{}, false, 0},
		{"looked at all the time", unhealthy{one, ago(time.Minute), ago(patience)}, false, time.Minute},
		{"nobody looked for a while", unhealthy{one, ago(time.Hour), ago(time.Hour)}, false, 0},
		{"another release", unhealthy{artifact.Ref{Digest: "sha256:two"}, ago(time.Minute), ago(time.Second)}, false, 0},
		{"something was written", unhealthy{one, ago(time.Minute), ago(time.Second)}, true, 0},
	}
	for _, tt := range tests {
		if got := tt.clock.look(one, tt.wrote).Round(time.Second); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
