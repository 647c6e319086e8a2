package token

import (
	"errors"
	"slices"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

// What one instance sealed, another one opens, also when other keys sign; and a few days after the key's last token it is
// gone for good, from the store too. Meanwhile the retired key verifies nothing.
func TestOpening(t *testing.T) {
	store, c := memstore.New(), newClock()
	one, two := &KeyRing{Store: store, Now: c.Now}, &KeyRing{Store: store, Now: c.Now}
	id, sealed, err := one.Sealing(t.Context(), "outbox")
	if err != nil {
		t.Fatal(err)
	}
	opens := func() error {
		secret, err := two.Opening(t.Context(), id, "outbox")
		if err == nil && !slices.Equal(secret, sealed) {
			t.Fatal("opens with another secret")
		}
		return err
	}
	if err := opens(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what string
		move int // in overlaps
		sign bool
		open bool
	}{
		{"the next key is published", 30, true, true},
		{"it signs", 1, true, true},
		{"the first one is retired", 1, false, true},
		{"and waits", 3, false, true},
		{"and is forgotten", 1, false, false},
	} {
		for range step.move {
			c.move(overlap)
			if err := one.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := two.verifier(t.Context(), id); (err == nil) != step.sign {
			t.Errorf("%s: verifier: %v", step.what, err)
		}
		if err := opens(); (err == nil) != step.open || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: opening: %v", step.what, err)
		}
	}
	if keys, _ := store.Keys(t.Context()); len(keys) != 1 || keys[0].ID == id {
		t.Errorf("%d keys are left in the store", len(keys))
	}
	if _, err := (&KeyRing{Store: &shaky{inner: store, readsDown: true}, Now: c.Now}).Opening(t.Context(), id, "outbox"); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("without keys: %v", err)
	}
}
