package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var errGivenUp = errors.New("given up")

// registration does a change of every kind, as confirming a registration does and more.
func registration(ctx context.Context, s authcore.Stores) error {
	u, c := account("carol")
	steps := []func() error{
		func() error {
			_, err := s.Confirmations.ConsumeConfirmation(ctx, authcore.ConfirmRegistration, authcore.HashSecret("key of carol@example.com"), noon)
			return err
		},
		func() error {
			_, err := s.Invites.UseInvite(ctx, authcore.HashSecret("key of used"), noon)
			return err
		},
		func() error { return s.Invites.CreateInvite(ctx, invite("made")) },
		func() error { return s.Invites.RevokeInvite(ctx, "revoked") },
		func() error { return s.Users.CreateUser(ctx, u, c) },
		func() error { return s.Outbox.AddMail(ctx, mail("welcome")) },
		func() error { return s.Sessions.CreateSession(ctx, session("first", u.ID)) },
		func() error { return s.Sessions.EndSession(ctx, "old") },
		func() error {
			_, err := s.Sessions.EndSessionsOf(ctx, "id-alice", "", 0, noon)
			return err
		},
		func() error {
			return s.Confirmations.ReplaceConfirmation(ctx, confirmation(authcore.ConfirmReset, "id-carol"))
		},
		func() error { return s.Credentials.DeleteCredential(ctx, "id-alice", "second") },
		func() error { return s.Keys.AddKey(ctx, key("b"), "a") },
		func() error { return s.Users.DeleteUser(ctx, "id-bob") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// beforeRegistration stores what registration needs.
func (t *T) beforeRegistration() {
	t.Helper()
	t.with("alice", "bob")
	_, second := alice()
	second.ID, second.Key = "second", "0xsecond"
	t.is(t.Stores.Credentials.AddCredential(t.ctx, second), nil)
	t.is(t.Stores.Sessions.CreateSession(t.ctx, session("old", "id-alice")), nil)
	t.is(t.Stores.Sessions.CreateSession(t.ctx, session("older", "id-alice")), nil)
	t.is(t.Stores.Keys.AddKey(t.ctx, key("a"), ""), nil)
	t.expect(confirmation(authcore.ConfirmRegistration, "carol@example.com"))
	for _, id := range []string{"used", "revoked"} {
		t.is(t.Stores.Invites.CreateInvite(t.ctx, invite(id)), nil)
	}
}

// registered demands of every change of registration that it happened, or that it did not.
func (t *T) registered(s authcore.Stores, did bool) {
	t.Helper()
	is := func(err, done, not error) {
		t.Helper()
		if did {
			t.is(err, done)
		} else {
			t.is(err, not)
		}
	}
	_, err := s.Confirmations.Confirmation(t.ctx, authcore.ConfirmRegistration, authcore.HashSecret("key of carol@example.com"))
	is(err, authcore.ErrConfirmationNotFound, nil)
	_, err = s.Users.User(t.ctx, "id-carol")
	is(err, nil, authcore.ErrUserNotFound)
	_, err = s.Users.UserByUsername(t.ctx, "carol")
	is(err, nil, authcore.ErrUserNotFound)
	_, err = s.Users.UserByEmail(t.ctx, "carol@example.com")
	is(err, nil, authcore.ErrUserNotFound)
	_, err = s.Credentials.CredentialByKey(t.ctx, authcore.Wallet, "0xcarol")
	is(err, nil, authcore.ErrCredentialNotFound)
	_, err = s.Credentials.CredentialByKey(t.ctx, authcore.Wallet, "0xsecond")
	is(err, authcore.ErrCredentialNotFound, nil)
	_, err = s.Sessions.Session(t.ctx, "first")
	is(err, nil, authcore.ErrSessionNotFound)
	_, err = s.Sessions.Session(t.ctx, "old")
	is(err, authcore.ErrSessionNotFound, nil)
	_, err = s.Sessions.Session(t.ctx, "older")
	is(err, authcore.ErrSessionNotFound, nil)
	_, err = s.Confirmations.Confirmation(t.ctx, authcore.ConfirmReset, authcore.HashSecret("key of id-carol"))
	is(err, nil, authcore.ErrConfirmationNotFound)
	_, err = s.Users.User(t.ctx, "id-bob")
	is(err, authcore.ErrUserNotFound, nil)
	_, err = s.Credentials.CredentialByKey(t.ctx, authcore.Wallet, "0xbob")
	is(err, authcore.ErrCredentialNotFound, nil)
	_, err = s.Invites.Invite(t.ctx, authcore.HashSecret("key of made"))
	is(err, nil, authcore.ErrInviteNotFound)
	_, err = s.Invites.Invite(t.ctx, authcore.HashSecret("key of revoked"))
	is(err, authcore.ErrInviteNotFound, nil)
	used, err := s.Invites.Invite(t.ctx, authcore.HashSecret("key of used"))
	t.is(err, nil)
	same(t, used.Used, map[bool]int{true: 1}[did])
	waiting, _, err := s.Outbox.MailWaiting(t.ctx)
	t.is(err, nil)
	keys, err := s.Keys.Keys(t.ctx)
	t.is(err, nil)
	if want := map[bool]int{true: 1}[did]; waiting != want || len(keys) != 1+want {
		t.Fatalf("%d mails and %d keys", waiting, len(keys))
	}
}

// everywhere calls f for all handles.
func (t *T) everywhere(f func(authcore.Stores)) {
	f(t.Stores)
	if t.Peer != nil {
		f(t.Peer.Stores)
	}
}

var transactionTests = []test{
	{"all of it happens", func(t *T) {
		t.beforeRegistration()
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			t.registered(s, false)
			if err := registration(t.ctx, s); err != nil {
				return err
			}
			t.registered(s, true) // it sees what it did
			if t.Peer != nil {
				t.registered(t.Peer.Stores, false) // and nobody else does yet
			}
			return nil
		}), nil)
		t.everywhere(func(s authcore.Stores) { t.registered(s, true) })
	}},
	{"where it fails half-way, nothing happened", func(t *T) {
		t.beforeRegistration()
		err := t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			if err := registration(t.ctx, s); err != nil {
				return err
			}
			return errGivenUp
		})
		if err != errGivenUp {
			t.Fatalf("got error %v, want it as it was", err)
		}
		t.everywhere(func(s authcore.Stores) { t.registered(s, false) })
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error { return registration(t.ctx, s) }), nil)
		t.everywhere(func(s authcore.Stores) { t.registered(s, true) })
	}},
	{"the verdict of an operation comes back", func(t *T) {
		t.beforeRegistration()
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			if err := registration(t.ctx, s); err != nil {
				return err
			}
			u, c := alice()
			return s.Users.CreateUser(t.ctx, u, c)
		}), authcore.ErrConflict)
		t.everywhere(func(s authcore.Stores) { t.registered(s, false) })
	}},
	{"it is given the contracts it may use", func(t *T) {
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			if s.Transactions != nil || s.Health != nil {
				t.Error("a transaction in a transaction")
			}
			if (s.Notices == nil) != (t.Stores.Notices == nil) {
				t.Error("notices go missing")
			}
			return nil
		}), nil)
	}},
	// A username is taken: it tries another one, in the same transaction.
	{"what is refused leaves nothing, and the rest goes on", func(t *T) {
		t.with("alice")
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			t.is(s.Outbox.AddMail(t.ctx, mail("before")), nil)
			u, c := account("bob")
			u.Username = "ALICE"
			t.is(s.Users.CreateUser(t.ctx, u, c), authcore.ErrUsernameTaken)
			u.Username, u.Email = "bob", "alice@example.com"
			t.is(s.Users.CreateUser(t.ctx, u, c), authcore.ErrEmailTaken)
			u.Email, c.Key = "bob@example.com", "0xalice"
			t.is(s.Users.CreateUser(t.ctx, u, c), authcore.ErrCredentialInUse)
			_, err := s.Users.UserByUsername(t.ctx, "bob")
			t.is(err, authcore.ErrUserNotFound)
			_, err = s.Users.User(t.ctx, "nobody")
			t.is(err, authcore.ErrUserNotFound)
			t.is(s.Outbox.AddMail(t.ctx, mail("before")), authcore.ErrConflict)
			t.is(s.Credentials.DeleteCredential(t.ctx, "id-alice", "cred-alice"), authcore.ErrLastCredential)
			t.is(s.Sessions.UpdateSession(t.ctx, session("none", "id-alice")), authcore.ErrSessionNotFound)
			stale, _ := alice()
			stale.Version = 9
			t.is(s.Users.UpdateUser(t.ctx, stale), authcore.ErrConflict)
			c.Key = "0xbob"
			return s.Users.CreateUser(t.ctx, u, c)
		}), nil)
		_, err := t.Stores.Users.UserByEmail(t.ctx, "bob@example.com")
		t.is(err, nil)
		t.claim(10, noon, noon.Add(time.Minute), mail("before"))
	}},
	// f runs into a bug.
	{"where it panics, nothing happened and others go on", func(t *T) {
		t.beforeRegistration()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				t.is(registration(t.ctx, s), nil)
				panic("a bug")
			})
		}()
		t.everywhere(func(s authcore.Stores) { t.registered(s, false) })
		t.with("dave")
	}},
	{"its stores are good for nothing after its end", func(t *T) {
		t.beforeRegistration()
		for _, end := range []error{nil, errGivenUp} {
			var kept authcore.Stores
			_ = t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				kept = s
				return end
			})
			_ = registration(t.ctx, kept)
			t.everywhere(func(s authcore.Stores) { t.registered(s, false) })
		}
	}},
	{"a context that is over changes nothing", func(t *T) {
		t.beforeRegistration()
		called := false
		t.over(t.Stores.Transactions.Transact(ended(t), func(authcore.Stores) error { called = true; return nil }))
		if called {
			t.Error("it began")
		}
		ctx, cancel := context.WithCancel(t.ctx)
		t.over(t.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
			t.is(registration(ctx, s), nil)
			cancel()
			return nil
		}))
		t.everywhere(func(s authcore.Stores) { t.registered(s, false) })
	}},
	{"of many that count up none is lost", func(t *T) {
		const many = 10
		t.with("alice")
		errs := t.race(many, func(i int, s Subject) error {
			return s.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				u, err := s.Users.User(t.ctx, "id-alice")
				if err != nil {
					return err
				}
				u.Name += "i"
				if err := s.Outbox.AddMail(t.ctx, mail(fmt.Sprint(len(u.Name)))); err != nil {
					return err
				}
				return s.Users.UpdateUser(t.ctx, u)
			})
		})
		for _, err := range errs {
			t.is(err, nil)
		}
		got, err := t.Stores.Users.User(t.ctx, "id-alice")
		t.is(err, nil)
		same(t, len(got.Name), len("Name of alice")+many)
		n, _, err := t.Stores.Outbox.MailWaiting(t.ctx)
		t.is(err, nil)
		same(t, n, many)
	}},
	// What is not there is read as well: each looks whether there is a session, and opens one where there is none.
	{"of many that find nothing one adds it", func(t *T) {
		t.with("alice", "bob")
		errs := t.race(8, func(i int, s Subject) error {
			return s.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				open, err := s.Sessions.SessionsOf(t.ctx, "id-alice", noon)
				if err != nil {
					return err
				} else if len(open) > 0 {
					return errGivenUp
				}
				return s.Sessions.CreateSession(t.ctx, session(fmt.Sprint("session-", i), "id-alice"))
			})
		})
		t.oneWins(errs, errGivenUp)
		open, err := t.Stores.Sessions.SessionsOf(t.ctx, "id-alice", noon)
		t.is(err, nil)
		same(t, len(open), 1)
	}},
	// Two administrators each take the role from the other, both having seen that there are two: that would leave none.
	{"of two that rely on what the other changes one has to look again", func(t *T) {
		t.with("alice", "bob")
		errs := t.race(2, func(i int, s Subject) error {
			return s.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				mine, err := s.Users.User(t.ctx, []string{"id-alice", "id-bob"}[i])
				if err != nil {
					return err
				}
				other, err := s.Users.User(t.ctx, []string{"id-bob", "id-alice"}[i])
				if err != nil {
					return err
				}
				if mine.Disabled {
					return errGivenUp
				}
				other.Disabled = true
				return s.Users.UpdateUser(t.ctx, other)
			})
		})
		t.oneWins(errs, errGivenUp)
	}},
	{"what it has read is not changed until its end, or it is called again", func(t *T) {
		if t.Peer == nil {
			return // whoever changes something would wait for the end
		}
		t.with("alice")
		changes := map[string]func(context.Context) error{
			"user": func(ctx context.Context) error {
				u, err := t.Peer.Stores.Users.User(ctx, "id-alice")
				if err == nil {
					err = t.Peer.Stores.Users.UpdateUser(ctx, u)
				}
				return err
			},
			"credential": func(ctx context.Context) error {
				c, err := t.Peer.Stores.Credentials.CredentialByKey(ctx, authcore.Wallet, "0xalice")
				if err == nil {
					err = t.Peer.Stores.Credentials.UpdateCredential(ctx, c)
				}
				return err
			},
			"session": func(ctx context.Context) error { return t.Peer.Stores.Sessions.EndSession(ctx, "session") },
			"confirmation": func(ctx context.Context) error {
				return t.Peer.Stores.Confirmations.DeleteConfirmation(ctx, authcore.ConfirmReset, "id")
			},
		}
		for name, change := range changes {
			_ = t.Stores.Sessions.CreateSession(t.ctx, session("session", "id-alice"))
			t.expect(confirmation(authcore.ConfirmReset, "id"))
			calls, changed := 0, false
			err := t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				calls++
				if _, err := s.Users.User(t.ctx, "id-alice"); err != nil {
					return err
				}
				if _, err := s.Credentials.CredentialsOf(t.ctx, "id-alice"); err != nil {
					return err
				}
				if _, err := s.Sessions.SessionsOf(t.ctx, "id-alice", noon); err != nil {
					return err
				}
				if _, err := s.Confirmations.Confirmation(t.ctx, authcore.ConfirmReset, authcore.HashSecret("key of id")); err != nil && !errors.Is(err, authcore.ErrConfirmationNotFound) {
					return err
				}
				if calls == 1 {
					ctx, cancel := context.WithTimeout(t.ctx, 200*time.Millisecond)
					defer cancel()
					changed = change(ctx) == nil
				}
				return s.Outbox.AddMail(t.ctx, mail(name))
			})
			t.is(err, nil)
			if changed && calls == 1 {
				t.Errorf("the %s was changed", name)
			}
		}
	}},
}
