package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// invite answers one that is good for an hour and one account.
func invite(id string) authcore.Invite {
	return authcore.Invite{
		ID: id, KeyHash: authcore.HashSecret("key of " + id), Roles: []string{"admin", "editor"}, Note: "for Bob & Carol",
		By: authcore.Operator, Created: noon, Expires: noon.Add(time.Hour), Uses: 1,
	}
}

func (t *T) invite(all ...authcore.Invite) {
	t.Helper()
	for _, i := range all {
		t.is(t.Stores.Invites.CreateInvite(t.ctx, i), nil)
	}
}

// invited demands that the invite is stored as it is given.
func (t *T) invited(want authcore.Invite) {
	t.Helper()
	got, err := t.Stores.Invites.Invite(t.ctx, want.KeyHash)
	t.is(err, nil)
	same(t, got, want)
}

var inviteTests = []test{
	{"store and read back", func(t *T) {
		i := invite("a")
		i.Created, i.Expires = i.Created.In(elsewhere), i.Expires.In(elsewhere)
		t.invite(i)
		i.Created, i.Expires = noon, noon.Add(time.Hour)
		t.invited(i)
		t.invited(i) // reading it takes nothing away
		bare := authcore.Invite{ID: "bare", KeyHash: [32]byte{1}, Created: noon, Expires: noon}
		t.invite(bare)
		t.invited(bare)
		_, err := t.Stores.Invites.Invite(t.ctx, authcore.HashSecret("guess"))
		t.is(err, authcore.ErrInviteNotFound)
	}},
	{"what is stored is the caller's own", func(t *T) {
		i := invite("a")
		t.invite(i)
		i.Roles[0] = "other"
		t.invited(invite("a"))
		got, err := t.Stores.Invites.Invite(t.ctx, i.KeyHash)
		t.is(err, nil)
		got.Roles[0] = "other"
		t.invited(invite("a"))
		used, err := t.Stores.Invites.UseInvite(t.ctx, i.KeyHash, noon)
		t.is(err, nil)
		used.Roles[0] = "other"
		want := invite("a")
		want.Used = 1
		t.invited(want)
	}},
	{"an id and a key are stored once", func(t *T) {
		t.invite(invite("a"))
		i := invite("a")
		i.KeyHash = [32]byte{1}
		t.is(t.Stores.Invites.CreateInvite(t.ctx, i), authcore.ErrConflict)
		i = invite("b")
		i.KeyHash = invite("a").KeyHash
		t.is(t.Stores.Invites.CreateInvite(t.ctx, i), authcore.ErrConflict)
		all, err := t.Stores.Invites.InvitesOpen(t.ctx)
		t.is(err, nil)
		same(t, all, []authcore.Invite{invite("a")})
	}},
	{"it is good for as many accounts as it has uses", func(t *T) {
		i := invite("a")
		i.Uses = 3
		t.invite(i)
		for range 3 {
			got, err := t.Stores.Invites.UseInvite(t.ctx, i.KeyHash, noon)
			t.is(err, nil)
			i.Used++
			same(t, got, i)
		}
		_, err := t.Stores.Invites.UseInvite(t.ctx, i.KeyHash, noon)
		t.is(err, authcore.ErrInviteExpired)
		t.invited(i) // and stays, so that who comes too late is told so
		_, err = t.Stores.Invites.UseInvite(t.ctx, authcore.HashSecret("guess"), noon)
		t.is(err, authcore.ErrInviteNotFound)
	}},
	{"one without uses is good for none", func(t *T) {
		i := invite("a")
		i.Uses = 0
		t.invite(i)
		_, err := t.Stores.Invites.UseInvite(t.ctx, i.KeyHash, noon)
		t.is(err, authcore.ErrInviteExpired)
	}},
	{"from the moment it expires it is expired, and stays", func(t *T) {
		i := invite("a")
		t.invite(i)
		for _, late := range []time.Time{i.Expires, i.Expires.Add(time.Nanosecond), i.Expires.Add(time.Hour).In(elsewhere)} {
			_, err := t.Stores.Invites.UseInvite(t.ctx, i.KeyHash, late)
			t.is(err, authcore.ErrInviteExpired)
		}
		t.invited(i)
		_, err := t.Stores.Invites.UseInvite(t.ctx, i.KeyHash, i.Expires.Add(-time.Microsecond))
		t.is(err, nil)
	}},
	// A link that was forwarded: two people, or more, open it at the same moment, on several instances.
	{"of many at once one gets the last use", func(t *T) {
		for round := range 5 {
			i := invite(fmt.Sprint(round))
			t.invite(i)
			t.oneWins(t.race(16, func(_ int, s Subject) error {
				_, err := s.Stores.Invites.UseInvite(t.ctx, i.KeyHash, noon)
				return err
			}), authcore.ErrInviteExpired)
		}
	}},
	{"of many at once as many succeed as there are uses, each with a count of its own", func(t *T) {
		const many, uses = 16, 5
		i := invite("a")
		i.Uses = uses
		t.invite(i)
		counts := make([]int, many)
		for n, err := range t.race(many, func(n int, s Subject) error {
			got, err := s.Stores.Invites.UseInvite(t.ctx, i.KeyHash, noon)
			counts[n] = got.Used
			return err
		}) {
			if err != nil {
				t.is(err, authcore.ErrInviteExpired)
				same(t, counts[n], 0)
			}
		}
		seen := map[int]int{}
		for _, n := range counts {
			seen[n]++
		}
		same(t, seen, map[int]int{0: many - uses, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1})
	}},
	// The use and the account are one: where many race, each in a transaction, one account is made.
	{"of many transactions at once one gets the last use, and the account with it", func(t *T) {
		const many = 8
		i := invite("a")
		t.invite(i)
		won := t.oneWins(t.race(many, func(n int, s Subject) error {
			return s.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				if _, err := s.Invites.UseInvite(t.ctx, i.KeyHash, noon); err != nil {
					return err
				}
				u, c := account(fmt.Sprint("user", n))
				return s.Users.CreateUser(t.ctx, u, c)
			})
		}), authcore.ErrInviteExpired)
		for n := range many {
			_, err := t.Stores.Users.User(t.ctx, fmt.Sprint("id-user", n))
			if n == won {
				t.is(err, nil)
			} else {
				t.is(err, authcore.ErrUserNotFound)
			}
		}
	}},
	{"a use of a transaction that fails is none", func(t *T) {
		i := invite("a")
		t.invite(i)
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			if _, err := s.Invites.UseInvite(t.ctx, i.KeyHash, noon); err != nil {
				return err
			}
			return errGivenUp
		}), errGivenUp)
		t.invited(i)
	}},
	{"they are listed, the newest first", func(t *T) {
		older, newer, same1 := invite("older"), invite("newer"), invite("same")
		older.Created, newer.Created, same1.Created = noon.Add(-time.Hour), noon.Add(time.Second), noon
		used := invite("used")
		used.Used, used.Created = 1, noon.Add(-time.Minute)
		t.invite(used, same1, newer, older)
		all, err := t.Stores.Invites.InvitesOpen(t.ctx)
		t.is(err, nil)
		same(t, all, []authcore.Invite{newer, same1, used, older})
	}},
	{"a revoked one is gone", func(t *T) {
		i, other := invite("a"), invite("b")
		t.invite(i, other)
		t.is(t.Stores.Invites.RevokeInvite(t.ctx, i.ID), nil)
		t.is(t.Stores.Invites.RevokeInvite(t.ctx, i.ID), authcore.ErrInviteNotFound)
		_, err := t.Stores.Invites.Invite(t.ctx, i.KeyHash)
		t.is(err, authcore.ErrInviteNotFound)
		_, err = t.Stores.Invites.UseInvite(t.ctx, i.KeyHash, noon)
		t.is(err, authcore.ErrInviteNotFound)
		t.invited(other)
	}},
	{"delete expired, to the edge", func(t *T) {
		last, used := invite("last"), invite("used")
		last.Expires = noon.Add(time.Hour + time.Microsecond)
		used.Used, used.Expires = 1, last.Expires
		t.invite(last, used)
		const many = 3
		for i := range many {
			t.invite(invite(fmt.Sprint(i)))
		}
		n, err := t.Stores.Invites.DeleteExpiredInvites(t.ctx, noon.Add(time.Hour-time.Microsecond))
		t.is(err, nil)
		same(t, n, 0)
		n, err = t.Stores.Invites.DeleteExpiredInvites(t.ctx, noon.Add(time.Hour))
		t.is(err, nil)
		same(t, n, many)
		t.invited(last)
		t.invited(used)
	}},
	{"a context that is over changes nothing", func(t *T) {
		over, s := ended(t), t.Stores.Invites
		i := invite("a")
		t.invite(i)
		t.over(s.CreateInvite(over, invite("b")))
		_, err := s.Invite(over, i.KeyHash)
		t.over(err)
		_, err = s.UseInvite(over, i.KeyHash, noon)
		t.over(err)
		_, err = s.InvitesOpen(over)
		t.over(err)
		t.over(s.RevokeInvite(over, i.ID))
		_, err = s.DeleteExpiredInvites(over, noon.Add(2*time.Hour))
		t.over(err)
		all, err := s.InvitesOpen(t.ctx)
		t.is(err, nil)
		same(t, all, []authcore.Invite{i})
	}},
}
