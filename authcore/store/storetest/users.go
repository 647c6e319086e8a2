package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var userTests = []test{
	{"create and read back", func(t *T) {
		u, c := alice()
		u.Created = u.Created.In(elsewhere)
		u.Version = 7
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		u.Created = noon
		got, err := t.Stores.Users.User(t.ctx, u.ID)
		t.is(err, nil)
		same(t, got, u)
		got, err = t.Stores.Users.UserByUsername(t.ctx, "alice")
		t.is(err, nil)
		same(t, got, u)
		cred, err := t.Stores.Credentials.CredentialByKey(t.ctx, c.Kind, c.Key)
		t.is(err, nil)
		same(t, cred, c)
	}},
	{"any text comes back as it was", func(t *T) {
		u, c := alice()
		u.Username, u.Name, u.Email = "o'brien+ñ@exämple.com", `"; DROP TABLE users; -- % _ \ 名`, "o'brien+ñ@exämple.com"
		u.Roles = []string{`a"b`, "c,d", "é"}
		c.Data = []byte("\x00'\"\xff\xfe")
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		got, err := t.Stores.Users.UserByUsername(t.ctx, "O'Brien+Ñ@EXÄMPLE.com")
		t.is(err, nil)
		same(t, got, u)
	}},
	{"zero values come back as they were", func(t *T) {
		u, c := authcore.User{ID: "bare", Disabled: true}, authcore.Credential{ID: "c", UserID: "bare"}
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		got, err := t.Stores.Users.User(t.ctx, "bare")
		t.is(err, nil)
		same(t, got, u)
		if !got.Created.IsZero() {
			t.Fatalf("Created is %v", got.Created)
		}
	}},
	{"unknown is not found", func(t *T) {
		t.with("bob")
		_, err := t.Stores.Users.User(t.ctx, "id-alice")
		t.is(err, authcore.ErrUserNotFound)
		_, err = t.Stores.Users.User(t.ctx, "")
		t.is(err, authcore.ErrUserNotFound)
		_, err = t.Stores.Users.UserByUsername(t.ctx, "alice")
		t.is(err, authcore.ErrUserNotFound)
		_, err = t.Stores.Users.UserByUsername(t.ctx, "bo%")
		t.is(err, authcore.ErrUserNotFound)
		u, _ := alice()
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), authcore.ErrUserNotFound)
		t.is(t.Stores.Users.DeleteUser(t.ctx, "id-alice"), authcore.ErrUserNotFound)
	}},
	{"ids are compared with case", func(t *T) {
		t.with("alice")
		_, err := t.Stores.Users.User(t.ctx, "ID-ALICE")
		t.is(err, authcore.ErrUserNotFound)
	}},
	{"usernames are compared without case", func(t *T) {
		u, c := alice()
		u.Username = "0x52908400098527886E0F7030069857D2E4169EE7"
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		got, err := t.Stores.Users.UserByUsername(t.ctx, "0X52908400098527886e0f7030069857d2e4169ee7")
		t.is(err, nil)
		same(t, got, u)
		v, d := account("bob")
		v.Username = "0x52908400098527886e0f7030069857d2e4169ee7"
		t.is(t.Stores.Users.CreateUser(t.ctx, v, d), authcore.ErrUsernameTaken)
	}},
	{"many may have no username", func(t *T) {
		for _, name := range []string{"a", "b"} {
			u, c := account(name)
			u.Username = ""
			t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		}
		_, err := t.Stores.Users.UserByUsername(t.ctx, "")
		t.is(err, authcore.ErrUserNotFound)
		u, _ := account("a")
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		u.Username, u.Version = "", 1
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		_, err = t.Stores.Users.UserByUsername(t.ctx, "")
		t.is(err, authcore.ErrUserNotFound)
	}},
	{"a refused creation leaves nothing", func(t *T) {
		t.with("alice")
		for _, refused := range []struct {
			name   string
			change func(*authcore.User, *authcore.Credential)
			want   error
		}{
			{"username", func(u *authcore.User, _ *authcore.Credential) { u.Username = "ALICE" }, authcore.ErrUsernameTaken},
			{"credential key", func(_ *authcore.User, c *authcore.Credential) { c.Key = "0xalice" }, authcore.ErrCredentialInUse},
			{"user id", func(u *authcore.User, c *authcore.Credential) { u.ID, c.UserID = "id-alice", "id-alice" }, authcore.ErrConflict},
			{"credential id", func(_ *authcore.User, c *authcore.Credential) { c.ID = "cred-alice" }, authcore.ErrConflict},
		} {
			u, c := account("bob")
			refused.change(&u, &c)
			if err := t.Stores.Users.CreateUser(t.ctx, u, c); err == nil {
				t.Fatalf("%s: not refused", refused.name)
			} else {
				t.is(err, refused.want)
			}
			t.nothingOf("bob")
		}
		u, c := account("bob")
		c.UserID = "id-alice"
		if err := t.Stores.Users.CreateUser(t.ctx, u, c); err == nil {
			t.Fatal("a user was created with the credential of another one")
		}
		t.nothingOf("bob")
		t.with("bob") // neither username nor credential were left behind
		got, err := t.Stores.Credentials.CredentialsOf(t.ctx, "id-alice")
		t.is(err, nil)
		_, want := alice()
		same(t, got, []authcore.Credential{want})
	}},
	{"update replaces all", func(t *T) {
		t.with("alice")
		u, _ := alice()
		u.Username, u.Name, u.Email, u.Roles, u.Disabled, u.Created = "al", "Al", "", nil, true, noon.Add(time.Hour)
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		got, err := t.Stores.Users.User(t.ctx, u.ID)
		t.is(err, nil)
		u.Version++
		same(t, got, u)
	}},
	{"update of what changed in the meantime is a conflict", func(t *T) {
		t.with("alice", "bob")
		u, _ := alice()
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		stale := u
		stale.Name, stale.Username = "stale", "fresh-name"
		t.is(t.Stores.Users.UpdateUser(t.ctx, stale), authcore.ErrConflict)
		stale.Username = "bob"
		t.is(t.Stores.Users.UpdateUser(t.ctx, stale), authcore.ErrConflict)
		stale.Version = 2
		t.is(t.Stores.Users.UpdateUser(t.ctx, stale), authcore.ErrConflict)
		u.Version = 1
		got, err := t.Stores.Users.User(t.ctx, u.ID)
		t.is(err, nil)
		same(t, got, u)
		// The conflict has reserved nothing.
		v, c := account("carol")
		v.Username = "fresh-name"
		t.is(t.Stores.Users.CreateUser(t.ctx, v, c), nil)
	}},
	{"of many updates at once one wins", func(t *T) {
		t.with("alice")
		u, _ := alice()
		errs := t.race(16, func(i int, s Subject) error {
			mine := u
			mine.Name = fmt.Sprint("by ", i)
			return s.Stores.Users.UpdateUser(t.ctx, mine)
		})
		won := t.oneWins(errs, authcore.ErrConflict)
		got, err := t.Stores.Users.User(t.ctx, u.ID)
		t.is(err, nil)
		u.Name, u.Version = fmt.Sprint("by ", won), 1
		same(t, got, u)
	}},
	{"of many accounts with one username one is created", func(t *T) {
		errs := t.race(16, func(i int, s Subject) error {
			u, c := account(fmt.Sprint("user-", i))
			u.Username = []string{"wanted", "WANTED"}[i%2]
			return s.Stores.Users.CreateUser(t.ctx, u, c)
		})
		won := t.oneWins(errs, authcore.ErrUsernameTaken)
		for i := range errs {
			_, err := t.Stores.Credentials.CredentialByKey(t.ctx, authcore.Wallet, fmt.Sprint("0xuser-", i))
			t.is(err, map[bool]error{false: authcore.ErrCredentialNotFound}[i == won])
		}
	}},
	// Two tabs finish the first sign-in of a new wallet at once: one account, not two.
	{"of many accounts with one credential one is created", func(t *T) {
		errs := t.race(16, func(i int, s Subject) error {
			u, c := account(fmt.Sprint("user-", i))
			c.Key = "0xwanted"
			return s.Stores.Users.CreateUser(t.ctx, u, c)
		})
		won := t.oneWins(errs, authcore.ErrCredentialInUse)
		for i := range errs {
			_, err := t.Stores.Users.UserByUsername(t.ctx, fmt.Sprint("user-", i))
			t.is(err, map[bool]error{false: authcore.ErrUserNotFound}[i == won])
		}
	}},
	{"a username that was changed stays reserved", func(t *T) {
		t.with("alice", "bob")
		u, _ := alice()
		u.Username = "al"
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		_, err := t.Stores.Users.UserByUsername(t.ctx, "alice")
		t.is(err, authcore.ErrUserNotFound)
		v, _ := account("bob")
		v.Username = "Alice"
		t.is(t.Stores.Users.UpdateUser(t.ctx, v), authcore.ErrUsernameTaken)
		got, err := t.Stores.Users.User(t.ctx, v.ID)
		t.is(err, nil)
		v.Username = "bob"
		same(t, got, v) // unchanged, the version too
		w, c := account("carol")
		w.Username = "ALICE"
		t.is(t.Stores.Users.CreateUser(t.ctx, w, c), authcore.ErrUsernameTaken)
	}},
	{"its owner may take a username back, or write it otherwise", func(t *T) {
		t.with("alice")
		u, _ := alice()
		for version, name := range []string{"Alice", "al", "aLice", "AL", "alice"} {
			u.Username, u.Version = name, int64(version)
			t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
			got, err := t.Stores.Users.UserByUsername(t.ctx, name)
			t.is(err, nil)
			u.Version++
			same(t, got, u)
		}
	}},
	{"a deleted user is gone with all that was theirs", func(t *T) {
		t.with("alice", "bob")
		_, c := alice()
		c.ID, c.Key = "second", "0xsecond"
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
		mine, theirs := session("mine", "id-alice"), session("theirs", "id-bob")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, mine), nil)
		t.is(t.Stores.Sessions.CreateSession(t.ctx, theirs), nil)
		t.is(t.Stores.Users.DeleteUser(t.ctx, "id-alice"), nil)

		_, err := t.Stores.Users.User(t.ctx, "id-alice")
		t.is(err, authcore.ErrUserNotFound)
		_, err = t.Stores.Users.UserByUsername(t.ctx, "alice")
		t.is(err, authcore.ErrUserNotFound)
		for _, key := range []string{"0xalice", "0xsecond"} {
			_, err = t.Stores.Credentials.CredentialByKey(t.ctx, authcore.Wallet, key)
			t.is(err, authcore.ErrCredentialNotFound)
		}
		all, err := t.Stores.Credentials.CredentialsOf(t.ctx, "id-alice")
		t.is(err, nil)
		same(t, all, []authcore.Credential{})
		_, err = t.Stores.Sessions.Session(t.ctx, "mine")
		t.is(err, authcore.ErrSessionNotFound)
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, mine), authcore.ErrSessionNotFound)
		u, _ := alice()
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), authcore.ErrUserNotFound)
		t.is(t.Stores.Users.DeleteUser(t.ctx, "id-alice"), authcore.ErrUserNotFound)

		// Nobody else lost anything.
		_, err = t.Stores.Users.UserByUsername(t.ctx, "bob")
		t.is(err, nil)
		_, err = t.Stores.Credentials.CredentialByKey(t.ctx, authcore.Wallet, "0xbob")
		t.is(err, nil)
		_, err = t.Stores.Sessions.Session(t.ctx, "theirs")
		t.is(err, nil)
	}},
	// Whoever gets a deleted account's username is taken for its owner by backends that know users by name.
	{"usernames of a deleted user are never given again", func(t *T) {
		t.with("alice")
		u, _ := alice()
		u.Username = "al"
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		t.is(t.Stores.Users.DeleteUser(t.ctx, u.ID), nil)
		for _, name := range []string{"alice", "al", "AL"} {
			v, c := account("bob")
			v.Username = name
			t.is(t.Stores.Users.CreateUser(t.ctx, v, c), authcore.ErrUsernameTaken)
			// A new account is another account, even were its id the same.
			v.ID, c.UserID = u.ID, u.ID
			t.is(t.Stores.Users.CreateUser(t.ctx, v, c), authcore.ErrUsernameTaken)
		}
		// The wallet itself may open a new account.
		v, _ := account("bob")
		_, c := alice()
		c.UserID = v.ID
		t.is(t.Stores.Users.CreateUser(t.ctx, v, c), nil)
	}},
	{"what comes back is the caller's own", func(t *T) {
		u, c := alice()
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		u.Roles[0] = "intruder"
		for range 2 {
			got, err := t.Stores.Users.User(t.ctx, u.ID)
			t.is(err, nil)
			want, _ := alice()
			same(t, got, want)
			got.Roles[1] = "intruder"
			got, err = t.Stores.Users.UserByUsername(t.ctx, u.Username)
			t.is(err, nil)
			got.Roles[1] = "intruder"
		}
		next, _ := alice()
		t.is(t.Stores.Users.UpdateUser(t.ctx, next), nil)
		next.Roles[0] = "intruder"
		got, err := t.Stores.Users.User(t.ctx, u.ID)
		t.is(err, nil)
		want, _ := alice()
		want.Version = 1
		same(t, got, want)
	}},
}

// nothingOf demands that an account is not there, nor any part of it.
func (t *T) nothingOf(name string) {
	t.Helper()
	u, c := account(name)
	_, err := t.Stores.Users.User(t.ctx, u.ID)
	t.is(err, authcore.ErrUserNotFound)
	_, err = t.Stores.Users.UserByUsername(t.ctx, u.Username)
	t.is(err, authcore.ErrUserNotFound)
	_, err = t.Stores.Credentials.CredentialByKey(t.ctx, c.Kind, c.Key)
	t.is(err, authcore.ErrCredentialNotFound)
	all, err := t.Stores.Credentials.CredentialsOf(t.ctx, u.ID)
	t.is(err, nil)
	same(t, all, []authcore.Credential{})
}
