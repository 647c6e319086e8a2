package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

// A clock that was wrong by years and is set right again: the keys are read again from then on, not after years.
func TestClockSetBack(t *testing.T) {
	store, c := memstore.New(), newClock()
	i := instance(store, c)
	c.move(10 * 365 * 24 * time.Hour)
	id := signerID(t, i)
	c.move(-10 * 365 * 24 * time.Hour)
	tok := access(t, i, alice())
	if err := store.DeleteKey(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c.move(reloadEvery)
	refuse(t, i, tok, ErrInvalid)
}

// Where the store cannot be written, an instance goes on with its keys, and with time: the retired key is refused without
// the store's help.
func TestRetirementNeedsNoStore(t *testing.T) {
	store, c := &shaky{inner: memstore.New()}, newClock()
	i := instance(store, c)
	old := signerID(t, i)
	c.move(defaultRotateEvery)
	if len(keyIDs(t, i)) != 2 {
		t.Fatal("no next key")
	}
	store.readsDown, store.writesDown = true, true
	c.move(overlap)
	if signerID(t, i) == old {
		t.Error("the next key does not sign while the store is down")
	}
	c.move(overlap)
	if slices.Contains(keyIDs(t, i), old) {
		t.Error("the retired key is still published")
	}
}

// Signed-in users keep working while the store is down, and tokens are still signed for sessions that live elsewhere.
func TestStoreDownWithCachedKeys(t *testing.T) {
	store, c := &shaky{inner: memstore.New()}, newClock()
	i := instance(store, c)
	access(t, i, alice())
	store.readsDown, store.writesDown = true, true
	for range 60 {
		c.move(time.Hour)
		accept(t, i, access(t, i, alice()))
	}
	if err := i.Keys.Refresh(t.Context()); !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, errDown) {
		t.Errorf("Refresh says %v", err)
	}
}

// A first start without its store begins closed and opens by itself; it does not ask a store that is down at every request.
func TestStoreDownAtFirstStart(t *testing.T) {
	store, c := &shaky{inner: memstore.New(), readsDown: true}, newClock()
	i := instance(store, c)
	good := access(t, newIssuer(c), alice())
	for range 100 {
		if _, _, err := i.Access(t.Context(), origin, []string{origin}, alice()); !errors.Is(err, authcore.ErrUnavailable) {
			t.Fatal(err)
		}
		// Down is not a verdict: the token may be good.
		refuse(t, i, good, authcore.ErrUnavailable)
		if _, err := i.Keys.JWKS(t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if store.reads != 1 {
		t.Errorf("asked %d times", store.reads)
	}
	store.readsDown = false
	c.move(retryEvery)
	accept(t, i, access(t, i, alice()))
}

// Junk tokens under made-up key ids would make every request a read of the store.
func TestUnknownKeysCostOneRead(t *testing.T) {
	store, c := &shaky{inner: memstore.New()}, newClock()
	i := instance(store, c)
	head, payload := parts(t, i)
	id := signerID(t, i)
	c.move(retryEvery)
	store.reads = 0
	var wg sync.WaitGroup
	for j := range 50 {
		junk := encode(strings.Replace(head, id, encode(strings.Repeat(string(rune('A'+j)), 32)), 1)) + "." + encode(payload) + "." + encode(strings.Repeat("\x01", 64))
		wg.Go(func() { refuse(t, i, junk, ErrInvalid) })
	}
	wg.Wait()
	if store.reads != 1 {
		t.Errorf("%d reads, want 1", store.reads)
	}
	// Ids that no key can have cost none at all.
	c.move(retryEvery)
	store.reads = 0
	for _, bad := range []string{"../../etc/passwd", "", id[:42], "\n" + id, strings.Repeat("k", 1000)} {
		refuse(t, i, forge(t, i, strings.Replace(head, id, bad, 1), payload), ErrInvalid)
	}
	if store.reads != 0 {
		t.Errorf("%d reads for an id that no key can have", store.reads)
	}
}

// While the store is down nobody can tell an unknown key from one that another instance has just made.
func TestUnknownKeyWhileStoreIsDown(t *testing.T) {
	store, c := &shaky{inner: memstore.New()}, newClock()
	i := instance(store, c)
	head, payload := parts(t, i)
	junk := forge(t, i, strings.Replace(head, signerID(t, i), encode(strings.Repeat("k", 32)), 1), payload)
	c.move(retryEvery)
	store.readsDown = true
	refuse(t, i, junk, authcore.ErrUnavailable)
	refuse(t, i, junk, authcore.ErrUnavailable)
	store.readsDown = false
	c.move(retryEvery)
	refuse(t, i, junk, ErrInvalid)
}

// Signing and verifying ask the store no more than once a minute.
func TestCommonCaseTouchesNoStore(t *testing.T) {
	store, c := &shaky{inner: memstore.New()}, newClock()
	i := instance(store, c)
	access(t, i, alice())
	store.reads, store.writes = 0, 0
	for range 59 {
		accept(t, i, access(t, i, alice()))
		keyIDs(t, i)
		c.move(time.Second)
	}
	if store.reads != 0 || store.writes != 0 {
		t.Errorf("%d reads and %d writes in a minute", store.reads, store.writes)
	}
	c.move(time.Second)
	access(t, i, alice())
	if store.reads != 1 {
		t.Errorf("%d reads after a minute", store.reads)
	}
}

// While one request reads the keys anew, on a store that hangs, the others go on with those that are known.
func TestSlowReloadHoldsUpNobodyElse(t *testing.T) {
	store, c := &shaky{inner: memstore.New()}, newClock()
	i := instance(store, c)
	tok := access(t, i, alice())
	c.move(reloadEvery)
	reading, release := make(chan struct{}), make(chan struct{})
	store.onRead = func() { close(reading); <-release }
	done := make(chan struct{})
	go func() { defer close(done); accept(t, i, tok) }()
	<-reading
	accept(t, i, tok)
	access(t, i, alice())
	close(release)
	<-done
}

// The client whose request reads the keys goes away: those who wait for the same read must not suffer.
func TestReloadOutlivesItsRequest(t *testing.T) {
	store, c := &shaky{inner: memstore.New()}, newClock()
	i := instance(store, c)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := i.Access(gone, origin, []string{origin}, alice()); err != nil {
		t.Error(err)
	}
}

// A database that became read-only: no rotation, no outage, and the operator can hear of it.
func TestRotationFailsQuietlyForUsers(t *testing.T) {
	store, c := &shaky{inner: memstore.New()}, newClock()
	i := instance(store, c)
	head, payload := parts(t, i)
	id := signerID(t, i)
	store.writesDown = true
	c.move(2 * defaultRotateEvery)
	accept(t, i, access(t, i, alice()))
	if err := i.Keys.Refresh(t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("Refresh says %v", err)
	}
	// The keys could be read, so an unknown one is unknown.
	refuse(t, i, forge(t, i, strings.Replace(head, id, encode(strings.Repeat("k", 32)), 1), payload), ErrInvalid)
	store.writesDown = false
	c.move(retryEvery)
	if err := i.Keys.Refresh(t.Context()); err != nil || len(keyIDs(t, i)) != 2 {
		t.Errorf("no rotation after recovery: %v", err)
	}
}

// Restored from an old backup, or emptied: the store decides, a new key is made, nothing hangs.
func TestStoreLostItsKeys(t *testing.T) {
	c := newClock()
	i := instance(memstore.New(), c)
	tok := access(t, i, alice())
	i.Keys.Store = memstore.New()
	c.move(reloadEvery)
	refuse(t, i, tok, ErrInvalid)
	accept(t, i, access(t, i, alice()))
}
