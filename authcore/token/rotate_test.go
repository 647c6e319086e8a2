package token

import (
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

// A key that is made before its time is published at once and signs a day later; asking again makes no further one.
func TestRotate(t *testing.T) {
	store, c := memstore.New(), newClock()
	a, b := instance(store, c), instance(store, c)
	tok := access(t, a, alice())
	first := signerID(t, a)
	did, err := a.Keys.Rotate(t.Context(), store, false)
	if err != nil || did.KeyID == first || did.Waiting || !did.Signs.Equal(c.Now().Add(overlap)) {
		t.Fatalf("%+v %v", did, err)
	}
	if err := a.Keys.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if signing, published := a.Keys.Ages(); published != 2 || !signing.Equal(c.Now()) {
		t.Errorf("%d published, signing since %v", published, signing)
	}
	again, err := b.Keys.Rotate(t.Context(), store, false)
	if err != nil || again.KeyID != did.KeyID || !again.Waiting {
		t.Errorf("%+v %v", again, err)
	}
	if signerID(t, a) != first {
		t.Error("the new key signs before others can have it")
	}
	accept(t, b, tok)
	c.move(overlap)
	for _, i := range []*Issuer{a, b} {
		if signerID(t, i) != did.KeyID {
			t.Error("the new key does not sign after a day")
		}
	}
	if signing, _ := a.Keys.Ages(); !signing.Equal(c.Now()) {
		t.Errorf("signing since %v, want %v", signing, c.Now())
	}
}

// Somebody has the private key: it must sign and prove nothing any more, from this moment on.
func TestRotateAtOnce(t *testing.T) {
	store, c := memstore.New(), newClock()
	a, b := instance(store, c), instance(store, c)
	tok := access(t, a, alice())
	accept(t, b, tok)
	did, err := a.Keys.Rotate(t.Context(), store, true)
	if err != nil || did.Deleted != 1 || !did.Signs.Equal(c.Now()) {
		t.Fatalf("%+v %v", did, err)
	}
	for _, i := range []*Issuer{a, b} {
		if err := i.Keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if signerID(t, i) != did.KeyID {
			t.Error("the new key does not sign")
		}
		if _, err := i.VerifyAccess(t.Context(), tok, []string{origin}); err == nil {
			t.Error("what the old key signed counts")
		}
	}
	// Without a word from others, too.
	late := instance(store, c)
	c.move(time.Second)
	if _, err := late.VerifyAccess(t.Context(), tok, []string{origin}); err == nil {
		t.Error("what the old key signed counts")
	}
}

func TestRotateOnAnEmptyStore(t *testing.T) {
	store, c := memstore.New(), newClock()
	i := instance(store, c)
	if since, n := i.Keys.Ages(); n != 0 || !since.IsZero() {
		t.Errorf("%v %d", since, n)
	}
	did, err := i.Keys.Rotate(t.Context(), store, false)
	if err != nil || !did.Signs.Equal(c.Now()) || signerID(t, i) != did.KeyID {
		t.Errorf("%+v %v", did, err)
	}
}
