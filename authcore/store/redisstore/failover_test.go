//go:build unix

package redisstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// The primary dies just after it took challenges out. Its successor must not have them any more, and has those that were
// not answered yet.
func TestFailoverSpendsNothingTwice(t *testing.T) {
	t.Parallel()
	set := servers.RedisSentinel(t)
	s := open(t, sentinelOf(set))
	const many = 200
	for i := range many {
		create(t, s, fmt.Sprint("spent ", i))
		create(t, s, fmt.Sprint("open ", i))
	}
	waitForReplica(t, s)
	for i := range many {
		consume(t, s, fmt.Sprint("spent ", i), nil)
	}
	set.Primary.Kill()
	down(t, s, patience)
	failOver(t, s)
	for i := range many {
		consume(t, s, fmt.Sprint("spent ", i), authcore.ErrChallengeNotFound)
		consume(t, s, fmt.Sprint("open ", i), nil)
	}
}

// The replica hangs, so a challenge is taken out on the primary alone. That must not count: when the primary dies and
// the replica goes on, the challenge may be there again, and then the answer counts once.
func TestConsumeWaitsForReplica(t *testing.T) {
	t.Parallel()
	set := servers.RedisSentinel(t)
	s := open(t, sentinelOf(set))
	create(t, s, "a")
	create(t, s, "b")
	waitForReplica(t, s)
	for i := range breakAfter {
		create(t, s, fmt.Sprint(i))
	}
	set.Replica.Pause()
	began := time.Now()
	// A machine may be so busy that the replica is silent for too long before all this is done.
	unconfirmed := func(err error) {
		t.Helper()
		if !errors.Is(err, authcore.ErrUnavailable) && time.Since(began) < silence-2*time.Second {
			t.Fatalf("got %v after %v", err, time.Since(began))
		}
	}
	take := func(name string) error {
		_, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret(name), binding, noon)
		return err
	}
	unconfirmed(take("a"))
	unconfirmed(s.Notify(t.Context(), authcore.Notice{Kind: "k", Subject: "s"}))
	if took := time.Since(began); took > 9*time.Second { // twice the five of the store's own bound
		t.Fatalf("took %v", took)
	}
	// The primary itself works: what need not be confirmed goes on.
	for i := range breakAfter {
		unconfirmed(take(fmt.Sprint(i)))
	}
	create(t, s, "c")
	set.Primary.Kill()
	set.Replica.Resume()
	failOver(t, s)
	// What the replica had in its socket it does when it wakes up, so it may have heard of it at last.
	if _, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret("a"), binding, noon); err != nil && !errors.Is(err, authcore.ErrChallengeNotFound) {
		t.Fatal(err)
	}
	consume(t, s, "a", authcore.ErrChallengeNotFound)
	consume(t, s, "b", nil)
}

// A replica that hangs for good must not keep everybody out for good.
func TestSilentReplicaIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	set := servers.RedisSentinel(t)
	s := open(t, sentinelOf(set))
	create(t, s, "a")
	waitForReplica(t, s)
	set.Replica.Pause()
	began := time.Now()
	for i := 0; ; i++ {
		name := fmt.Sprint(i)
		create(t, s, name)
		_, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret(name), binding, noon)
		if err == nil {
			break
		}
		if !errors.Is(err, authcore.ErrUnavailable) || time.Since(began) > silence+patience {
			t.Fatalf("got %v after %v", err, time.Since(began))
		}
	}
	if took := time.Since(began); took < silence/10 { // it may have been a laggard before
		t.Fatalf("not waited for after %v", took)
	}
	// From now on it costs nothing: the quickest of a few tells, whatever else the machine has to do.
	best := patience
	for i := range 10 {
		name := fmt.Sprint("z", i)
		began = time.Now()
		create(t, s, name)
		consume(t, s, name, nil)
		best = min(best, time.Since(began))
	}
	if best > 200*time.Millisecond {
		t.Errorf("the quickest took %v", best)
	}
}

// The Sentinel is gone, which is nothing to the servers that it watched.
func TestWithoutSentinel(t *testing.T) {
	t.Parallel()
	set := servers.RedisSentinel(t)
	s := open(t, sentinelOf(set))
	create(t, s, "a")
	set.Kill()
	consume(t, s, "a", nil)
	create(t, s, "b")
	consume(t, s, "b", nil)
}

// A primary of a Cluster dies, and a replica takes its place.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	nodes := servers.RedisClusterWithReplicas(t)
	s := open(t, clusterOf(nodes))
	const many = 100
	for i := range many {
		create(t, s, fmt.Sprint("spent ", i))
		create(t, s, fmt.Sprint("open ", i))
	}
	for i := range many {
		consume(t, s, fmt.Sprint("spent ", i), nil)
	}
	for _, n := range nodes {
		if role := n.Command("role"); role[:6] == "master" {
			waitForFollower(t, n)
			n.Kill()
			break
		}
	}
	began := time.Now()
	for i := range many {
		for {
			_, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret(fmt.Sprint("spent ", i)), binding, noon)
			if errors.Is(err, authcore.ErrChallengeNotFound) {
				break
			}
			if !errors.Is(err, authcore.ErrUnavailable) || time.Since(began) > patience {
				t.Fatalf("got %v after %v", err, time.Since(began))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	for i := range many {
		for {
			_, err := s.ConsumeChallenge(t.Context(), authcore.HashSecret(fmt.Sprint("open ", i)), binding, noon)
			if err == nil {
				break
			}
			// Others may still learn of the successor: what was refused was not done.
			if !errors.Is(err, authcore.ErrUnavailable) || time.Since(began) > 2*patience {
				t.Fatalf("got %v after %v", err, time.Since(began))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// waitForFollower waits until the replica of a primary has all that was written: on a machine that is busy it may be a
// laggard, for whom nobody waits.
func waitForFollower(t *testing.T, primary *servers.RedisServer) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		told := primary.Command("info", "replication")
		_, offset, _ := strings.Cut(told, "master_repl_offset:")
		offset, _, _ = strings.Cut(offset, "\n")
		if offset = strings.TrimSpace(offset); offset != "" && strings.Contains(told, ",offset="+offset+",") {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("the replica is behind:\n%s", told)
		}
	}
}

// waitForReplica waits until a replica is in touch and has everything.
func waitForReplica(t *testing.T, s *Store) {
	t.Helper()
	n := s.nodeOf(s.one)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		replicas, err := n.count(t.Context(), 0)
		if err != nil || time.Since(began) > patience {
			t.Fatalf("%d replicas, %v", replicas, err)
		}
		if replicas > 0 {
			break
		}
	}
	create(t, s, "everything before this")
	consume(t, s, "everything before this", nil)
}

// failOver waits until there is a primary again.
func failOver(t *testing.T, s *Store) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := s.ClearAttempts(t.Context(), "x")
		if err == nil {
			return
		}
		if time.Since(began) > patience {
			t.Fatal(err)
		}
	}
}
