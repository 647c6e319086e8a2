package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// ended answers a context that is over.
func ended(t *T) context.Context {
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	return ctx
}

// over demands the error of a context that is over: the caller's doing, and no verdict.
func (t *T) over(err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got error %v, want %v", err, context.Canceled)
	}
	t.is(err, authcore.ErrUnavailable)
}

// clock demands a clock that goes, on a machine whose time is about the one here.
func (t *T) clock(clock authcore.Clock) {
	t.Helper()
	first, err := clock.StoreTime(t.ctx)
	t.is(err, nil)
	second, err := clock.StoreTime(t.ctx)
	t.is(err, nil)
	if second.Before(first) || time.Since(first).Abs() > time.Hour {
		t.Fatalf("the clock goes from %v to %v", first, second)
	}
	_, err = clock.StoreTime(ended(t))
	t.over(err)
}

var accountTests = []test{
	{"a store that is there answers", func(t *T) {
		t.is(t.Stores.Health.Ping(t.ctx), nil)
		t.over(t.Stores.Health.Ping(ended(t)))
		if clock := t.Stores.Clock; clock != nil {
			t.clock(clock)
		}
	}},
	{"a context that is over changes nothing", func(t *T) {
		over := ended(t)
		t.with("alice")
		s := t.Stores
		u, c := alice()
		second := c
		second.ID, second.Key = "second", "0xsecond"
		t.is(s.Credentials.AddCredential(t.ctx, second), nil)
		open := session("open", u.ID)
		t.is(s.Sessions.CreateSession(t.ctx, open), nil)
		t.is(s.Keys.AddKey(t.ctx, key("a"), ""), nil)

		v, d := account("bob")
		t.over(s.Users.CreateUser(over, v, d))
		_, err := s.Users.User(over, u.ID)
		t.over(err)
		_, err = s.Users.UserByUsername(over, u.Username)
		t.over(err)
		_, err = s.Users.UserByEmail(over, u.Email)
		t.over(err)
		// Not even "not found" is said.
		_, err = s.Users.User(over, "nobody")
		t.over(err)
		renamed := u
		renamed.Name = "renamed"
		t.over(s.Users.UpdateUser(over, renamed))
		t.over(s.Users.DeleteUser(over, u.ID))

		_, err = s.Credentials.CredentialByKey(over, c.Kind, c.Key)
		t.over(err)
		_, err = s.Credentials.CredentialsOf(over, u.ID)
		t.over(err)
		third := c
		third.ID, third.Key = "third", "0xthird"
		t.over(s.Credentials.AddCredential(over, third))
		t.over(s.Credentials.UpdateCredential(over, c))
		t.over(s.Credentials.DeleteCredential(over, u.ID, second.ID))

		t.over(s.Sessions.CreateSession(over, session("new", u.ID)))
		_, err = s.Sessions.Session(over, open.ID)
		t.over(err)
		t.over(s.Sessions.UpdateSession(over, open))
		t.over(s.Sessions.EndSession(over, open.ID))
		_, err = s.Sessions.EndSessionsOf(over, u.ID, "", 0, noon)
		t.over(err)
		_, err = s.Sessions.SessionsOf(over, u.ID, noon)
		t.over(err)
		_, err = s.Sessions.DeleteExpiredSessions(over, noon.Add(1000*time.Hour))
		t.over(err)

		_, err = s.Keys.Keys(over)
		t.over(err)
		t.over(s.Keys.AddKey(over, key("b"), "a"))
		t.over(s.Keys.DeleteKey(over, "a"))

		t.nothingOf("bob")
		got, err := s.Users.User(t.ctx, u.ID)
		t.is(err, nil)
		same(t, got, u)
		all, err := s.Credentials.CredentialsOf(t.ctx, u.ID)
		t.is(err, nil)
		same(t, all, []authcore.Credential{c, second})
		sessions, err := s.Sessions.SessionsOf(t.ctx, u.ID, noon)
		t.is(err, nil)
		same(t, sessions, []authcore.Session{open})
		same(t, t.keyIDs(), "a ")
	}},
}
