package gateway

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestOperatorFindsAccounts(t *testing.T) {
	const (
		plain    = "0x52908400098527886E0F7030069857D2E4169EE7"
		contract = "eip155:10:0x8617E340B3D01FA5F11F306F4090FD50E238070D"
	)
	h := build(t, func(c *RealmConfig, _ *Site) {
		c.Grants = []Grant{{Role: "editor", To: []string{"alice@example.com"}}, {Role: "admin", To: []string{plain}}}
	})
	ctx, now := t.Context(), h.now
	for _, u := range []struct {
		user authcore.User
		key  string
	}{
		{authcore.User{ID: "u1", Username: "alice", Email: "alice@example.com", Roles: []string{"tester", "editor"}, Created: now}, plain},
		{authcore.User{ID: "u2", Username: "bob", Disabled: true, Created: now}, contract},
		// Carol has chosen the id of alice as her username: a command for "u1" must not get to her.
		{authcore.User{ID: "u3", Username: "u1", Created: now}, "k3"},
		// Dave had the wallet of alice before, and has its address as username still.
		{authcore.User{ID: "u4", Username: plain, Created: now}, "k4"},
	} {
		c := authcore.Credential{ID: "c" + u.user.ID, UserID: u.user.ID, Kind: authcore.Wallet, Key: u.key, Created: now}
		if err := h.store.Stores().Users.CreateUser(ctx, u.user, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		id   string // empty: err
		err  error
	}{
		{"u1", "u1", nil},
		{"ALICE", "u1", nil},
		{"Alice@EXAMPLE.com", "u1", nil},
		{contract, "u2", nil},
		{"eip155:10:0x8617e340b3d01fa5f11f306f4090fd50e238070d", "u2", nil},
		{plain, "", ErrAmbiguousUser},
		{"0x8617e340b3d01fa5f11f306f4090fd50e238070d", "", authcore.ErrUserNotFound}, // of another kind than the one linked
		{"nobody@example.com", "", authcore.ErrUserNotFound},
		{"@", "", authcore.ErrUserNotFound},
		{"", "", authcore.ErrUserNotFound},
	} {
		a, err := h.realm.Account(ctx, c.name)
		if a.ID != c.id || !errors.Is(err, c.err) {
			t.Errorf("%q: got %q, %v, want %q, %v", c.name, a.ID, err, c.id, c.err)
		}
	}
	a, err := h.realm.Account(ctx, "alice")
	if err != nil || !slices.Equal(a.Roles, []string{"admin", "editor", "tester"}) || len(a.Credentials) != 1 || a.Credentials[0].Key != plain {
		t.Errorf("%+v %v", a, err)
	}
	if a, err = h.realm.Account(ctx, "bob"); err != nil || !a.Disabled || len(a.Roles) != 0 {
		t.Errorf("%+v %v", a, err)
	}
	// A store that is down is not a user that is not there.
	down := errors.New("down")
	for _, part := range []string{"User", "UserByUsername", "CredentialByKey", "CredentialsOf"} {
		h.faults.before(part, func() error { return down })
		if _, err := h.realm.Account(ctx, contract); !errors.Is(err, down) {
			t.Errorf("%s: got %v", part, err)
		}
		h.faults.repair()
	}
}

func TestOperatorLiftsSuspension(t *testing.T) {
	h := build(t, passwordsOn)
	id := h.person(alice, alicesPassword).User.ID
	for range 5 {
		h.knock(alice, bobsPassword, "").refused(401, "invalid_credentials")
	}
	a, err := h.realm.Account(t.Context(), alice)
	if err != nil || a.ID != id || !a.SuspendedUntil.After(h.now) || a.SuspendedUntil.After(h.now.Add(15*time.Minute)) {
		t.Fatalf("%+v %v", a, err)
	}
	h.knock(alice, alicesPassword, "").refused(401, "invalid_credentials")
	if err := h.realm.Lift(t.Context(), authcore.Trace{Actor: authcore.Operator}, id); err != nil {
		t.Fatal(err)
	}
	if a, err = h.realm.Account(t.Context(), alice); err != nil || !a.SuspendedUntil.IsZero() {
		t.Errorf("%+v %v", a, err)
	}
	h.knock(alice, alicesPassword, "").ok(new(signedInView))
}
