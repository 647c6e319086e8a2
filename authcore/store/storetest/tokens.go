package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// token answers one of alice's that is good for an hour.
func token(id string) authcore.PersonalAccessToken {
	return authcore.PersonalAccessToken{
		ID: id, UserID: "id-alice", Origin: "https://app.example.com", Name: "backup & phone", SecretHash: authcore.HashSecret("secret of " + id),
		Roles: []string{"admin", "editor"}, Paths: []string{"/dav/*", "/naïve"}, Created: noon, Expires: noon.Add(time.Hour),
		LastUsed: noon.Add(time.Second),
	}
}

func (t *T) token(all ...authcore.PersonalAccessToken) {
	t.Helper()
	for _, one := range all {
		t.is(t.Stores.PersonalAccessTokens.CreatePersonalAccessToken(t.ctx, one), nil)
	}
}

// keeps demands that the token is stored as it is given.
func (t *T) keeps(want authcore.PersonalAccessToken) {
	t.Helper()
	got, err := t.Stores.PersonalAccessTokens.PersonalAccessToken(t.ctx, want.ID)
	t.is(err, nil)
	same(t, got, want)
}

func (t *T) noToken(id string) {
	t.Helper()
	_, err := t.Stores.PersonalAccessTokens.PersonalAccessToken(t.ctx, id)
	t.is(err, authcore.ErrPersonalAccessTokenNotFound)
}

var tokenTests = []test{
	{"store and read back", func(t *T) {
		t.with("alice")
		one := token("a")
		one.Created, one.Expires, one.LastUsed = one.Created.In(elsewhere), one.Expires.In(elsewhere), one.LastUsed.In(elsewhere)
		t.token(one)
		t.keeps(token("a"))
		t.noToken("b")
	}},
	{"one for everything, for ever, never used", func(t *T) {
		t.with("alice")
		one := authcore.PersonalAccessToken{ID: "a", UserID: "id-alice", AllRoles: true, Created: noon}
		t.token(one)
		t.keeps(one)
		n, err := t.Stores.PersonalAccessTokens.DeleteExpiredPersonalAccessTokens(t.ctx, noon.AddDate(1000, 0, 0))
		t.is(err, nil)
		same(t, n, 0)
		t.keeps(one)
	}},
	{"what is stored is the caller's own", func(t *T) {
		t.with("alice")
		one := token("a")
		t.token(one)
		one.Roles[0], one.Paths[0] = "other", "/other"
		t.keeps(token("a"))
		got, err := t.Stores.PersonalAccessTokens.PersonalAccessToken(t.ctx, "a")
		t.is(err, nil)
		got.Roles[0], got.Paths[0] = "other", "/other"
		t.keeps(token("a"))
		all, err := t.Stores.PersonalAccessTokens.PersonalAccessTokensOf(t.ctx, "id-alice")
		t.is(err, nil)
		all[0].Roles[0], all[0].Paths[0] = "other", "/other"
		t.keeps(token("a"))
	}},
	{"an id is stored once", func(t *T) {
		t.with("alice", "bob")
		t.token(token("a"))
		other := token("a")
		other.UserID = "id-bob"
		t.is(t.Stores.PersonalAccessTokens.CreatePersonalAccessToken(t.ctx, other), authcore.ErrConflict)
		t.keeps(token("a"))
	}},
	{"of a user who is there only", func(t *T) {
		t.is(t.Stores.PersonalAccessTokens.CreatePersonalAccessToken(t.ctx, token("a")), authcore.ErrUserNotFound)
		t.noToken("a")
	}},
	{"those of a user, oldest first, expired ones too", func(t *T) {
		t.with("alice", "bob")
		older, newer, others := token("z"), token("b"), token("c")
		older.Created, older.Expires, others.UserID = noon.Add(-time.Hour), noon.Add(-time.Minute), "id-bob"
		t.token(token("a"), newer, others, older)
		all, err := t.Stores.PersonalAccessTokens.PersonalAccessTokensOf(t.ctx, "id-alice")
		t.is(err, nil)
		same(t, all, []authcore.PersonalAccessToken{older, token("a"), newer})
		all, err = t.Stores.PersonalAccessTokens.PersonalAccessTokensOf(t.ctx, "id-carol")
		t.is(err, nil)
		same(t, len(all), 0)
	}},
	{"last used moves on, never back", func(t *T) {
		t.with("alice")
		fresh := token("b")
		fresh.LastUsed = time.Time{}
		t.token(token("a"), fresh)
		s := t.Stores.PersonalAccessTokens
		t.is(s.NotePersonalAccessTokens(t.ctx, nil), nil)
		t.is(s.NotePersonalAccessTokens(t.ctx, map[string]time.Time{"a": noon.Add(time.Minute).In(elsewhere), "b": noon, "gone": noon}), nil)
		t.is(s.NotePersonalAccessTokens(t.ctx, map[string]time.Time{"a": noon, "b": noon.Add(-time.Hour)}), nil)
		a, b := token("a"), fresh
		a.LastUsed, b.LastUsed = noon.Add(time.Minute), noon
		t.keeps(a)
		t.keeps(b)
		t.noToken("gone")
	}},
	{"instances that note at once", func(t *T) {
		t.with("alice")
		const many = 8
		used := map[string]time.Time{}
		for i := range many {
			t.token(token(fmt.Sprint(i)))
			used[fmt.Sprint(i)] = noon.Add(time.Hour)
		}
		for _, err := range t.race(many, func(_ int, s Subject) error {
			return s.Stores.PersonalAccessTokens.NotePersonalAccessTokens(t.ctx, used)
		}) {
			t.is(err, nil)
		}
		for i := range many {
			one := token(fmt.Sprint(i))
			one.LastUsed = noon.Add(time.Hour)
			t.keeps(one)
		}
	}},
	{"its owner deletes it, and nobody else does", func(t *T) {
		t.with("alice", "bob")
		t.token(token("a"), token("b"))
		s := t.Stores.PersonalAccessTokens
		t.is(s.DeletePersonalAccessToken(t.ctx, "id-bob", "a"), authcore.ErrPersonalAccessTokenNotFound)
		t.keeps(token("a"))
		t.is(s.DeletePersonalAccessToken(t.ctx, "id-alice", "a"), nil)
		t.noToken("a")
		t.is(s.DeletePersonalAccessToken(t.ctx, "id-alice", "a"), authcore.ErrPersonalAccessTokenNotFound)
		t.keeps(token("b"))
	}},
	{"of many who delete one at once one does", func(t *T) {
		t.with("alice")
		t.token(token("a"))
		t.oneWins(t.race(8, func(_ int, s Subject) error {
			return s.Stores.PersonalAccessTokens.DeletePersonalAccessToken(t.ctx, "id-alice", "a")
		}), authcore.ErrPersonalAccessTokenNotFound)
	}},
	{"they go with their user", func(t *T) {
		t.with("alice", "bob")
		others := token("b")
		others.UserID = "id-bob"
		t.token(token("a"), others)
		t.is(t.Stores.Users.DeleteUser(t.ctx, "id-alice"), nil)
		t.noToken("a")
		t.keeps(others)
	}},
	{"delete expired, to the edge", func(t *T) {
		t.with("alice")
		last := token("last")
		last.Expires = noon.Add(time.Hour + time.Microsecond)
		t.token(last)
		const many = 3
		for i := range many {
			t.token(token(fmt.Sprint(i)))
		}
		s := t.Stores.PersonalAccessTokens
		n, err := s.DeleteExpiredPersonalAccessTokens(t.ctx, noon.Add(time.Hour-time.Microsecond))
		t.is(err, nil)
		same(t, n, 0)
		n, err = s.DeleteExpiredPersonalAccessTokens(t.ctx, noon.Add(time.Hour))
		t.is(err, nil)
		same(t, n, many)
		t.keeps(last)
	}},
	{"a transaction that fails makes none, and deletes none", func(t *T) {
		t.with("alice")
		t.token(token("a"))
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			if err := s.PersonalAccessTokens.CreatePersonalAccessToken(t.ctx, token("b")); err != nil {
				return err
			}
			if err := s.PersonalAccessTokens.DeletePersonalAccessToken(t.ctx, "id-alice", "a"); err != nil {
				return err
			}
			if _, err := s.PersonalAccessTokens.PersonalAccessToken(t.ctx, "b"); err != nil {
				return err
			}
			return errGivenUp
		}), errGivenUp)
		t.keeps(token("a"))
		t.noToken("b")
	}},
	{"a context that is over changes nothing", func(t *T) {
		t.with("alice")
		t.token(token("a"))
		over, s := ended(t), t.Stores.PersonalAccessTokens
		t.over(s.CreatePersonalAccessToken(over, token("b")))
		_, err := s.PersonalAccessToken(over, "a")
		t.over(err)
		_, err = s.PersonalAccessTokensOf(over, "id-alice")
		t.over(err)
		t.over(s.NotePersonalAccessTokens(over, map[string]time.Time{"a": noon.Add(time.Hour)}))
		t.over(s.DeletePersonalAccessToken(over, "id-alice", "a"))
		_, err = s.DeleteExpiredPersonalAccessTokens(over, noon.Add(2*time.Hour))
		t.over(err)
		t.keeps(token("a"))
		t.noToken("b")
	}},
}
