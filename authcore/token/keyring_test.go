package token

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

func TestJWKS(t *testing.T) {
	i := newIssuer(newClock())
	raw, err := i.Keys.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%s: %v", raw, err)
	}
	k := set.Keys[0]
	if k["kty"] != "EC" || k["crv"] != "P-256" || k["alg"] != "ES256" || k["use"] != "sig" || len(k["x"]) != 43 || len(k["y"]) != 43 || len(k) != 7 {
		t.Errorf("key %v", k)
	}
	raw[0] = 'x' // the caller's own
	if again, _ := i.Keys.JWKS(t.Context()); again[0] != '{' {
		t.Error("a caller can change the published keys")
	}
}

// Many instances that start on an empty store at once end up with one key, and verify each other's tokens at once.
func TestFirstKeyRace(t *testing.T) {
	store, c := memstore.New(), newClock()
	const n = 16
	var (
		issuers [n]*Issuer
		tokens  [n]string
		wg      sync.WaitGroup
	)
	for j := range n {
		issuers[j] = instance(store, c)
		wg.Go(func() {
			tok, _, err := issuers[j].Access(t.Context(), origin, []string{origin}, alice())
			if err != nil {
				t.Error(err)
			}
			tokens[j] = tok
		})
	}
	wg.Wait()
	if keys, err := store.Keys(t.Context()); err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, i := range issuers {
		for _, tok := range tokens {
			accept(t, i, tok)
		}
	}
}

// A key made by an instance that lost the race for it must never sign: nobody else would know it.
func TestLoserOfARaceUsesTheWinnersKey(t *testing.T) {
	store, c := memstore.New(), newClock()
	winner := instance(store, c)
	late := &shaky{inner: store}
	late.onWrite = func() { late.onWrite = nil; access(t, winner, alice()) } // between its read and its write
	loser := instance(late, c)
	tok := access(t, loser, alice())
	accept(t, winner, tok)
	if a, b := signerID(t, winner), signerID(t, loser); a != b {
		t.Errorf("signers %s, %s", a, b)
	}
}

// Two instances over three rotations: at every moment every token verifies on both for its whole life, what signs has been
// published for a day, and what signed stays published for a day.
func TestRotationOverlap(t *testing.T) {
	store, c := memstore.New(), newClock()
	a, b := instance(store, c), instance(store, c)
	a.AccessTTL, b.AccessTTL = maxAccessTTL, maxAccessTTL
	type issued struct {
		tok     string
		expires time.Time
	}
	var living []issued
	published, lastSigned := map[string]time.Time{}, map[string]time.Time{}
	first := signerID(t, a)
	signers := []string{}
	const step = 3 * time.Hour
	for n := range 95 * 8 {
		now := c.Now()
		for _, i := range []*Issuer{a, b} {
			tok, expires, err := i.Access(t.Context(), origin, []string{origin}, alice())
			if err != nil {
				t.Fatal(err)
			}
			living = append(living, issued{tok, expires})
			id := signerID(t, i)
			if !slices.Contains(signers, id) {
				signers = append(signers, id)
			}
			lastSigned[id] = now
		}
		ids := keyIDs(t, b)
		for _, id := range ids {
			if _, seen := published[id]; !seen {
				published[id] = now
			}
		}
		for id, at := range lastSigned {
			if !slices.Contains(ids, id) && now.Sub(at) < overlap {
				t.Fatalf("step %d: %s is gone %v after it last signed", n, id, now.Sub(at))
			}
			if id != first && at.Sub(published[id]) < overlap-step {
				t.Fatalf("step %d: %s signs %v after it was published", n, id, at.Sub(published[id]))
			}
		}
		// The oldest are the ones at risk.
		living = slices.DeleteFunc(living, func(l issued) bool { return !now.Before(l.expires) })
		for _, l := range living[:2] { // one of each instance
			accept(t, a, l.tok)
			accept(t, b, l.tok)
		}
		c.move(step)
	}
	if len(signers) != 4 {
		t.Errorf("%d keys signed in 95 days, want 4", len(signers))
	}
	if keys, _ := store.Keys(t.Context()); len(keys) > 2 {
		t.Errorf("%d keys are left in the store", len(keys))
	}
}

// A key that was retired, or deleted because it leaked, signs nothing that counts any more, though an instance may have
// had it in memory a moment ago.
func TestRetiredKeyIsRefused(t *testing.T) {
	store, c := memstore.New(), newClock()
	a, b := instance(store, c), instance(store, c)
	old, err := a.Keys.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, payload := parts(t, a)
	accept(t, b, access(t, a, alice()))
	c.move(defaultRotateEvery)
	if ids := keyIDs(t, a); len(ids) != 2 || ids[0] != old.id || signerID(t, a) != old.id {
		t.Fatalf("the next key is not published before it signs: %v", ids)
	}
	c.move(overlap)
	if signerID(t, a) == old.id || !slices.Contains(keyIDs(t, b), old.id) {
		t.Fatal("the next key does not sign, or the previous is not published")
	}
	c.move(overlap)
	if ids := keyIDs(t, a); slices.Contains(ids, old.id) {
		t.Fatalf("the retired key is published: %v", ids)
	}
	now := c.Now()
	payload = strings.NewReplacer(
		timeText(start), timeText(now), timeText(start.Add(5*time.Minute)), timeText(now.Add(5*time.Minute)),
	).Replace(payload)
	for _, i := range []*Issuer{a, b} {
		refuse(t, i, signWith(t, old, encode(head)+"."+encode(payload)), ErrInvalid)
		// the same claims with the key of the day, so that it is the key that is refused
		accept(t, i, forge(t, i, strings.Replace(head, old.id, signerID(t, i), 1), payload))
	}
}

// A leaked key is deleted in the store: within a minute it counts nowhere.
func TestDeletedKeyIsRefusedWithinAMinute(t *testing.T) {
	store, c := memstore.New(), newClock()
	i := instance(store, c)
	tok := access(t, i, alice())
	if err := store.DeleteKey(t.Context(), signerID(t, i)); err != nil {
		t.Fatal(err)
	}
	c.move(reloadEvery)
	refuse(t, i, tok, ErrInvalid)
	accept(t, i, access(t, i, alice()))
}

// The key of another instance, unknown here until the token arrives.
func TestUnknownKeyIsReadAtOnce(t *testing.T) {
	inner, c := memstore.New(), newClock()
	i := instance(inner, c)
	access(t, i, alice())
	c.move(retryEvery)
	k, err := newKey(rand.Reader, c.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := inner.AddKey(t.Context(), k, signerID(t, i)); err != nil {
		t.Fatal(err)
	}
	parsed, err := parseKey(k)
	if err != nil {
		t.Fatal(err)
	}
	_, payload := parts(t, i)
	accept(t, i, signWith(t, parsed, encode(header(accessType, k.ID))+"."+encode(payload)))
}

// A key ring that is told to rotate every minute would fill the store and JWKS with keys.
func TestRotateEveryHasALeast(t *testing.T) {
	c := newClock()
	i := newIssuer(c)
	i.Keys.RotateEvery = time.Minute
	most := 0
	for range 24 * 14 {
		most = max(most, len(keyIDs(t, i)))
		c.move(time.Hour)
	}
	if most > 3 {
		t.Errorf("%d keys at once", most)
	}
}

func TestSecret(t *testing.T) {
	store, c := memstore.New(), newClock()
	one, two := &KeyRing{Store: store, Now: c.Now}, &KeyRing{Store: store, Now: c.Now}
	secret := func(r *KeyRing, purpose string) string {
		t.Helper()
		s, err := r.Secret(t.Context(), purpose)
		if err != nil || len(s) != 32 {
			t.Fatalf("%d bytes, %v", len(s), err)
		}
		return string(s)
	}
	first := secret(one, "a")
	if first != secret(one, "a") || first != secret(two, "a") {
		t.Error("another instance, or another call, answers another secret")
	}
	if first == secret(one, "b") {
		t.Error("two purposes have one secret")
	}
	// Nobody can compute it who has the public key only, and nobody learns the private one from it.
	keys, err := store.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if strings.Contains(string(keys[0].PKCS8), first) {
		t.Error("the secret is a part of the key")
	}
	c.move(30 * 24 * time.Hour)
	if first != secret(one, "a") {
		t.Error("a key that does not sign yet changes the secret")
	}
	c.move(2 * 24 * time.Hour)
	if first == secret(one, "a") {
		t.Error("the next key has the same secret")
	}
	if _, err := (&KeyRing{Store: &shaky{inner: store, readsDown: true}, Now: c.Now}).Secret(t.Context(), "a"); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("without keys: %v", err)
	}
}
