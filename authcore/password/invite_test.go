package password

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// invite stores an invite that gives the role editor, and answers its key.
func (h *house) invite(tb testing.TB, id string, uses int, until time.Duration) string {
	tb.Helper()
	key := "key of " + id
	err := h.Stores.Invites.CreateInvite(tb.Context(), authcore.Invite{
		ID: id, KeyHash: authcore.HashSecret(key), Roles: []string{"editor"}, By: authcore.Operator, Created: h.now, Expires: h.now.Add(until), Uses: uses,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// invited registers with an invite and answers the mail.
func (h *house) invited(tb testing.TB, email, invite string) authcore.Mail {
	tb.Helper()
	if err := h.Register(tb.Context(), Registering{Email: email, Password: right, Invite: invite, By: about, Link: link}); err != nil {
		tb.Fatal(err)
	}
	return h.mail(tb, authcore.MailConfirm, email)
}

func TestInvited(t *testing.T) {
	h := newHouse(t)
	h.closed = true
	invite := h.invite(t, "one", 1, time.Hour)
	m := h.invited(t, alice, invite)
	if !m.Expires.Equal(h.now.Add(time.Hour)) {
		t.Errorf("the link is good until %v, longer than the invite", m.Expires)
	}
	if i, err := h.Stores.Invites.Invite(t.Context(), authcore.HashSecret(invite)); err != nil || i.Used != 0 {
		t.Errorf("registering used it: %+v, %v", i, err)
	}
	u, err := h.Activate(t.Context(), Activating{Key: key(t, m)})
	if err != nil || u.Email != alice || u.Username != alice || !slices.Equal(u.Roles, []string{"editor"}) {
		t.Fatalf("%+v, %v", u, err)
	}
	if stored, err := h.Stores.Users.User(t.Context(), u.ID); err != nil || !slices.Equal(stored.Roles, []string{"editor"}) {
		t.Errorf("%+v, %v", stored, err)
	}
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
	if err := h.Register(t.Context(), Registering{Email: mallory, Password: right, Invite: invite, By: about, Link: link}); !errors.Is(err, authcore.ErrInviteExpired) {
		t.Errorf("with a used one: %v", err)
	}
	if err := h.Register(t.Context(), Registering{Email: mallory, Password: right, Invite: "guess", By: about, Link: link}); !errors.Is(err, authcore.ErrInviteNotFound) {
		t.Errorf("with a guessed one: %v", err)
	}
	if all := h.mails(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// One invite for one person, given on to a friend: both have registered, and the first who confirms has it.
func TestAnInviteIsUsedByWhoConfirmsFirst(t *testing.T) {
	h := newHouse(t)
	h.closed = true
	invite := h.invite(t, "one", 1, time.Hour)
	first, second := key(t, h.invited(t, alice, invite)), key(t, h.invited(t, mallory, invite))
	if _, err := h.Activate(t.Context(), Activating{Key: second}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // nothing is spent by it
		if _, err := h.Activate(t.Context(), Activating{Key: first}); !errors.Is(err, authcore.ErrInviteExpired) {
			t.Fatal(err)
		}
	}
	if err := h.signIn(t, alice, right); !errors.Is(err, ErrInvalidCredentials) {
		t.Error(err)
	}
}

// An administrator revokes an invite that somebody has registered with.
func TestARevokedInviteOpensNothing(t *testing.T) {
	h := newHouse(t)
	k := key(t, h.invited(t, alice, h.invite(t, "one", 1, time.Hour)))
	if err := h.Stores.Invites.RevokeInvite(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Activate(t.Context(), Activating{Key: k}); !errors.Is(err, authcore.ErrInviteNotFound) {
		t.Fatal(err)
	}
}

// Attack: a stranger without an invite registers the address of somebody invited, so that the key in their mail is good no
// more, or opens an account without the roles.
func TestNobodyTakesAnInvitedRegistrationAway(t *testing.T) {
	h := newHouse(t)
	k := key(t, h.invited(t, alice, h.invite(t, "one", 1, time.Hour)))
	h.closed, h.Selective = true, true
	if err := h.register(t, alice, second); err != nil {
		t.Fatal(err)
	}
	h.mail(t, authcore.MailDecoy, "")
	h.closed = false
	h.pending(t, alice, second)
	if u, err := h.Activate(t.Context(), Activating{Key: k}); err != nil || !slices.Equal(u.Roles, []string{"editor"}) {
		t.Fatalf("%+v, %v", u, err)
	}
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
}

// Attack: registering to learn which addresses were granted a role. The answer is nil, and the work is the same.
func TestWhoMayRegisterIsToldToNobody(t *testing.T) {
	h := newHouse(t)
	h.account(t, "taken@example.com", right)
	h.Selective = true
	h.MayRegister = func(email string) bool { return email == "granted@example.com" }
	want := []string{"hash", "read user", "read credential", "count mail", "seal", "transact", "replace confirmation", "add mail"}
	for email, kind := range map[string]authcore.MailKind{
		"granted@example.com": authcore.MailConfirm, "stranger@example.com": authcore.MailDecoy, "taken@example.com": authcore.MailRegistered,
	} {
		done := h.ledger.during(func() {
			if err := h.register(t, email, second); err != nil {
				t.Errorf("%s: %v", email, err)
			}
		})
		if !slices.Equal(done, want) {
			t.Errorf("%s: did %v, want %v", email, done, want)
		}
		if m := h.mails(t); len(m) != 1 || m[0].Kind != kind || m[0].Kind == authcore.MailDecoy && (m[0].To != "" || m[0].Link != "") {
			t.Errorf("%s: mails %+v, want %s", email, m, kind)
		}
	}
}
