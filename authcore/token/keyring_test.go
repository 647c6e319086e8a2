package token

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

var errDown = errors.New("connection refused")

// shaky is a store that can be switched off and counts what is asked of it.
type shaky struct {
	inner         authcore.Keys
	mu            sync.Mutex
	readsDown     bool
	writesDown    bool
	reads, writes int
	onRead        func() // called before each read
	onWrite       func() // called before each key is added
}

func (s *shaky) Keys(ctx context.Context) ([]authcore.Key, error) {
	if s.onRead != nil {
		s.onRead()
	}
	if err := s.ask(&s.readsDown, &s.reads); err != nil {
		return nil, err
	}
	return s.inner.Keys(ctx)
}

func (s *shaky) AddKey(ctx context.Context, k authcore.Key, after string) error {
	if s.onWrite != nil {
		s.onWrite()
	}
	if err := s.ask(&s.writesDown, &s.writes); err != nil {
		return err
	}
	return s.inner.AddKey(ctx, k, after)
}

func (s *shaky) DeleteKey(ctx context.Context, id string) error {
	if err := s.ask(&s.writesDown, &s.writes); err != nil {
		return err
	}
	return s.inner.DeleteKey(ctx, id)
}

func (s *shaky) ask(down *bool, count *int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*count++
	if *down {
		return errDown
	}
	return nil
}

func instance(store authcore.Keys, c *clock) *Issuer {
	return &Issuer{Keys: &KeyRing{Store: store, Now: c.Now}, Now: c.Now}
}

func keyIDs(t testing.TB, i *Issuer) []string {
	t.Helper()
	raw, err := i.Keys.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, k := range set.Keys {
		ids = append(ids, k.ID)
	}
	return ids
}

func signerID(t testing.TB, i *Issuer) string {
	t.Helper()
	k, err := i.Keys.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k.id
}

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

// RFC 7638 has no example of an EC key; this one is that of RFC 7517 appendix A.1, its thumbprint computed elsewhere.
func TestThumbprint(t *testing.T) {
	x, y := decode(t, "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"), decode(t, "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM")
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), []byte("\x04"+x+y))
	if err != nil {
		t.Fatal(err)
	}
	k, err := newJWK(public)
	if err != nil || k.ID != "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s" {
		t.Errorf("thumbprint %q, %v", k.ID, err)
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
	if keys, _ := store.Keys(t.Context()); len(keys) != 1 {
		t.Errorf("the retired key is in the store: %d keys", len(keys))
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
	refuse(t, i, forge(t, i, strings.Replace(head, id, "../../etc/passwd", 1), payload), ErrInvalid)
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

// A store from which a wrong key comes must not lead to tokens that nobody can verify, or to another algorithm.
func TestWrongKeyInTheStore(t *testing.T) {
	good, err := newKey(rand.Reader, start)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newKey(rand.Reader, start)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der := func(key any) []byte {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, k := range map[string]authcore.Key{
		"not a key":           {ID: good.ID, PKCS8: []byte("secret stuff"), Created: start},
		"another key":         {ID: good.ID, PKCS8: other.PKCS8, Created: start},
		"a key of P-384":      {ID: good.ID, PKCS8: der(p384), Created: start},
		"a key of RSA":        {ID: good.ID, PKCS8: der(rsaKey), Created: start},
		"key without content": {ID: good.ID, Created: start},
	} {
		t.Run(name, func(t *testing.T) {
			store := memstore.New()
			if err := store.AddKey(t.Context(), k, ""); err != nil {
				t.Fatal(err)
			}
			_, _, err := instance(store, newClock()).Access(t.Context(), origin, []string{origin}, alice())
			if !errors.Is(err, authcore.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret stuff") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

// A source of randomness that is stuck must not yield a key that everybody can guess, nor an endless loop.
func TestNewKeyFromBadRandomness(t *testing.T) {
	n := elliptic.P256().Params().N
	for name, source := range map[string][]byte{
		"zeros":      make([]byte, 64),
		"the order":  slices.Concat(n.Bytes(), n.Bytes()),
		"all ones":   bytes.Repeat([]byte{0xff}, 64),
		"runs short": make([]byte, 31),
	} {
		t.Run(name, func(t *testing.T) {
			if k, err := newKey(bytes.NewReader(source), start); err == nil {
				t.Errorf("made %q", k.ID)
			}
		})
	}
	// One unlucky draw is none.
	largest := new(big.Int).Sub(n, big.NewInt(1))
	if _, err := newKey(bytes.NewReader(slices.Concat(n.Bytes(), largest.Bytes())), start); err != nil {
		t.Error(err)
	}
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
