package gateway

import (
	"errors"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

// The private key was copied. With the new one nobody is signed out, and what the old one signed counts nowhere.
func TestReplacedKeysHoldOnOtherInstances(t *testing.T) {
	a, b, w := instances(t)
	tokens := a.signInTokens(newSigner(1))
	cookie := a.signInCookie(newSigner(2))
	if b.signedInAs(tokens.bearer()) == "" || b.signedInAs(cookie) == "" {
		t.Fatal("the other instance does not know them")
	}
	did, err := a.realm.RotateKeys(t.Context(), authcore.Trace{Actor: authcore.Operator}, true)
	if err != nil || did.Deleted != 1 || !did.Told {
		t.Fatalf("%+v %v", did, err)
	}
	for _, h := range []*house{a, b} {
		if h.signedInAs(tokens.bearer()) != "" {
			t.Error("what the old key signed counts")
		}
		if h.signedInAs(cookie) == "" {
			t.Error("somebody was signed out")
		}
	}
	var v signedInView
	b.do("POST", "token/refresh", `{"refresh_token":"`+tokens.RefreshToken+`"}`).ok(&v)
	if a.signedInAs(v.bearer()) == "" || b.signedInAs(v.bearer()) == "" {
		t.Error("what the new key signed does not count")
	}
	w.err = errors.New("cut off")
	if did, err := a.realm.RotateKeys(t.Context(), authcore.Trace{Actor: authcore.Operator}, true); err != nil || did.Told {
		t.Errorf("%+v %v", did, err)
	}
}

// The key and its event are stored together or not at all; a second call before the key signs does nothing.
func TestRotateKeys(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	by := authcore.Trace{Actor: authcore.Operator}
	did, err := h.realm.RotateKeys(t.Context(), by, false)
	if err != nil || did.Waiting || did.Deleted != 0 {
		t.Fatalf("%+v %v", did, err)
	}
	if again, err := h.realm.RotateKeys(t.Context(), by, false); err != nil || !again.Waiting || again.KeyID != did.KeyID {
		t.Errorf("%+v %v", again, err)
	}
	if h.signedInAs(tokens.bearer()) == "" {
		t.Error("somebody was signed out")
	}
	events := h.store.Stores().Events
	if _, err := events.SealEvents(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	found, err := events.Events(t.Context(), authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventKeyRotated}})
	if err != nil || len(found) != 2 || found[0].Code != "added" || found[0].Actor != authcore.Operator || found[0].Detail != "key "+did.KeyID {
		t.Errorf("%+v %v", found, err)
	}
}
