package synchronizer

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"sealift.dev/verify"
)

// hang takes as many places as there are to be had, of a namespace and for hosts that
// never answer, and says how many it got.
func hang(f *fair, namespace string, jobs, hosts int, stop chan struct{}) (taken int) {
	var mu sync.Mutex
	for i := range jobs {
		f.run(namespace, fmt.Sprint("tarpit-", i%hosts), func() {
			mu.Lock()
			taken++
			mu.Unlock()
			<-stop
		})
	}
	synctest.Wait()
	mu.Lock()
	defer mu.Unlock()
	return taken
}

// runs says that a job starts while everybody else hangs.
func runs(f *fair, namespace, host string) (started bool) {
	f.run(namespace, host, func() { started = true })
	synctest.Wait()
	return started
}

// TestFairShare: whatever a namespace wants of hosts that never answer, another one has
// its place at once, at the same host, too, and gets the half of what was left.
func TestFairShare(t *testing.T) {
	for name, tt := range map[string]struct{ jobs, hosts, first, second int }{
		"many hosts":      {jobs: 1000, hosts: 1000, first: 32, second: 16},
		"one host":        {jobs: 1000, hosts: 1, first: 4, second: 2},
		"two of one host": {jobs: 1000, hosts: 2, first: 8, second: 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stop := newFair(64, 8), make(chan struct{})
				if n := hang(f, "hostile", tt.jobs, tt.hosts, stop); n != tt.first {
					t.Errorf("the first namespace has %d places, want %d", n, tt.first)
				}
				if !runs(f, "honest", "tarpit-0") || !runs(f, "honest", "good") {
					t.Error("the honest one waits")
				}
				if n := hang(f, "greedy", tt.jobs, tt.hosts, stop); n != tt.second {
					t.Errorf("the second namespace has %d places, want %d", n, tt.second)
				}
				if !runs(f, "honest", "tarpit-0") {
					t.Error("the honest one waits for two")
				}
				close(stop)
				synctest.Wait()
				if f.taken != 0 || len(f.namespaces) != 0 || len(f.hosts) != 0 || len(f.turns) != 0 {
					t.Errorf("something is left of what is over: %+v", f)
				}
			})
		})
	}
}

// TestFairTurns: where there is one place, namespaces have it in turn, and the hosts of
// one in turn, however many jobs each brought first.
func TestFairTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newFair(1, 1), make(chan struct{})
		var order []string
		f.run("first", "a", func() { <-began })
		for i := range 3 {
			for _, job := range []string{"many a", "many a", "many b", "few c"} {
				var namespace, host string
				_, _ = fmt.Sscan(job, &namespace, &host)
				if namespace == "few" && i > 0 {
					continue
				}
				f.run(namespace, host, func() { order = append(order, job) })
			}
		}
		close(began)
		synctest.Wait()
		want := "[many a few c many b many a many b many a many b many a many a many a]"
		if got := fmt.Sprint(order); got != want {
			t.Errorf("the order is %s, want %s", got, want)
		}
	})
}

// TestTurnRests: who waits for a registry lets others compute, and is back before it
// goes on, whether one or several of its readers wait.
func TestTurnRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		verifier, err := verify.New(verify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := New(nil, verifier, Options{})
		s.turns = newFair(2, 2)
		one := s.turn("shop") // the only one that this namespace may have
		done := 0
		go func() {
			two := s.turn("shop")
			done++
			two.rest()
		}()
		synctest.Wait()
		if done != 0 {
			t.Fatal("two compute")
		}
		one.rest()
		one.rest()
		synctest.Wait()
		if done != 1 {
			t.Error("the other one still waits")
		}
		one.resume()
		if s.turns.taken != 0 {
			t.Error("one of two readers waits, and it computes")
		}
		one.resume()
		if s.turns.taken != 1 {
			t.Error("it has no turn")
		}
		over := Waiting(context.WithValue(t.Context(), turnKey{}, one))
		if s.turns.taken != 0 {
			t.Error("who waits for the public root computes")
		}
		over()
		if s.turns.taken != 1 {
			t.Error("it has the root, and no turn")
		}
		one.rest()
	})
}
