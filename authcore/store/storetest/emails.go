package storetest

import (
	"fmt"

	"github.com/caddy-authgate/authgate/authcore"
)

// hasEmail demands who has an address; empty: nobody has it.
func (t *T) hasEmail(email, want string) {
	t.Helper()
	got, err := t.Stores.Users.UserByEmail(t.ctx, email)
	if want == "" {
		t.is(err, authcore.ErrUserNotFound)
		return
	}
	t.is(err, nil)
	same(t, got.ID, want)
}

var emailTests = []test{
	{"a user is found by the address, as it is written", func(t *T) {
		t.with("alice", "bob")
		got, err := t.Stores.Users.UserByEmail(t.ctx, "alice@example.com")
		t.is(err, nil)
		want, _ := alice()
		same(t, got, want)
		for _, other := range []string{"Alice@example.com", "alice", "alice@example.com ", "%", "", "alice@example.com\x00", "\xff"} {
			t.hasEmail(other, "")
		}
	}},
	{"many may have no address", func(t *T) {
		for _, name := range []string{"a", "b", "c"} {
			u, c := account(name)
			u.Email = ""
			t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		}
		t.hasEmail("", "")
		u, _ := account("a")
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		u.Email, u.Version = "", 1
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		t.hasEmail("a@example.com", "")
	}},
	{"an address is one account's", func(t *T) {
		t.with("alice", "bob")
		u, c := account("carol")
		u.Email = "alice@example.com"
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), authcore.ErrEmailTaken)
		t.nothingOf("carol")
		// The username is asked for first.
		u.Username = "bob"
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), authcore.ErrUsernameTaken)
		v, _ := account("bob")
		v.Email, v.Name = "alice@example.com", "renamed"
		t.is(t.Stores.Users.UpdateUser(t.ctx, v), authcore.ErrEmailTaken)
		v.Username = "alice"
		t.is(t.Stores.Users.UpdateUser(t.ctx, v), authcore.ErrUsernameTaken)
		v.Version = 9
		t.is(t.Stores.Users.UpdateUser(t.ctx, v), authcore.ErrConflict)
		got, err := t.Stores.Users.User(t.ctx, "id-bob")
		t.is(err, nil)
		want, _ := account("bob")
		same(t, got, want)
		t.hasEmail("alice@example.com", "id-alice")
	}},
	{"a refused address reserves no username", func(t *T) {
		t.with("alice", "bob")
		v, _ := account("bob")
		v.Email, v.Username = "alice@example.com", "fresh-name"
		t.is(t.Stores.Users.UpdateUser(t.ctx, v), authcore.ErrEmailTaken)
		u, c := account("carol")
		u.Username = "fresh-name"
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
	}},
	{"an address that was changed or deleted is free", func(t *T) {
		t.with("alice", "bob")
		u, _ := alice()
		u.Email = "al@example.com"
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		t.hasEmail("alice@example.com", "")
		t.hasEmail("al@example.com", "id-alice")
		v, _ := account("bob")
		v.Email = "alice@example.com"
		t.is(t.Stores.Users.UpdateUser(t.ctx, v), nil)
		t.hasEmail("alice@example.com", "id-bob")
		t.is(t.Stores.Users.DeleteUser(t.ctx, "id-alice"), nil)
		t.hasEmail("al@example.com", "")
		w, c := account("carol")
		w.Email = "al@example.com"
		t.is(t.Stores.Users.CreateUser(t.ctx, w, c), nil)
		t.hasEmail("al@example.com", "id-carol")
	}},
	{"its own address is nobody else's", func(t *T) {
		t.with("alice")
		u, _ := alice()
		u.Name = "renamed"
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		t.hasEmail("alice@example.com", "id-alice")
	}},
	// Two people confirm the same address at once, or one does in two tabs.
	{"of many accounts with one address one is created", func(t *T) {
		errs := t.race(16, func(i int, s Subject) error {
			u, c := account(fmt.Sprint("user-", i))
			u.Email = "wanted@example.com"
			return s.Stores.Users.CreateUser(t.ctx, u, c)
		})
		won := t.oneWins(errs, authcore.ErrEmailTaken)
		t.hasEmail("wanted@example.com", fmt.Sprint("id-user-", won))
	}},
	{"of many changes to one address one is made", func(t *T) {
		const many = 8
		for i := range many {
			t.with(fmt.Sprint("user-", i))
		}
		errs := t.race(many, func(i int, s Subject) error {
			u, _ := account(fmt.Sprint("user-", i))
			u.Email = "wanted@example.com"
			return s.Stores.Users.UpdateUser(t.ctx, u)
		})
		won := t.oneWins(errs, authcore.ErrEmailTaken)
		t.hasEmail("wanted@example.com", fmt.Sprint("id-user-", won))
	}},
}
