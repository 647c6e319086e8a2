package password

import (
	"errors"
	"slices"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestForgotAndReset(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	other := h.account(t, mallory, right)
	h.session(t, u.ID, "s1")
	h.session(t, u.ID, "s2")
	h.session(t, other.ID, "s3")
	h.suspend(t, alice)
	k := h.forgot(t, "ALICE@example.com")

	if _, _, err := h.Reset(t.Context(), Resetting{Key: k, Password: "password1234"}); !errors.Is(err, ErrWeakPassword) {
		t.Fatal(err)
	}
	id, ended, err := h.Reset(t.Context(), Resetting{Key: k, Password: second, By: about})
	if err != nil || id != u.ID {
		t.Fatal(id, err)
	}
	slices.Sort(ended)
	if !slices.Equal(ended, []string{"s1", "s2"}) {
		t.Errorf("ended %q", ended)
	}
	if live, err := h.Stores.Sessions.SessionsOf(t.Context(), u.ID, h.now); err != nil || len(live) != 0 {
		t.Error(live, err)
	}
	if live, err := h.Stores.Sessions.SessionsOf(t.Context(), other.ID, h.now); err != nil || len(live) != 1 {
		t.Error("somebody else's session ended", err)
	}
	h.mail(t, authcore.MailPasswordChanged, alice)
	if err := h.signIn(t, alice, second); err != nil {
		t.Error("suspended still:", err)
	}
	if err := h.signIn(t, alice, right); !errors.Is(err, ErrInvalidCredentials) {
		t.Error("the old password:", err)
	}
	if _, _, err := h.Reset(t.Context(), Resetting{Key: k, Password: right}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
		t.Error("the key is good twice:", err)
	}
}

// Attack: asking for a new password to learn who has an account. The answer is nil and the work is the same.
func TestForgotIsNoOracle(t *testing.T) {
	h := newHouse(t)
	h.account(t, alice, right)
	h.pending(t, "pending@example.com", right)
	h.withoutPassword(t, "w", "wallet@example.com")
	want := []string{"read user", "read credential", "count mail", "seal", "transact", "replace confirmation", "add mail"}
	for email, kind := range map[string]authcore.MailKind{
		alice: authcore.MailReset, "wallet@example.com": authcore.MailNoPassword,
		"nobody@example.com": authcore.MailDecoy, "pending@example.com": authcore.MailDecoy,
	} {
		done := h.ledger.during(func() {
			if err := h.Forgot(t.Context(), Forgetting{Email: email, By: about, Link: link}); err != nil {
				t.Errorf("%s: %v", email, err)
			}
		})
		if !slices.Equal(done, want) {
			t.Errorf("%s: %q", email, done)
		}
		to := email
		if kind == authcore.MailDecoy {
			to = ""
		}
		if m := h.mail(t, kind, to); (m.Link != "") != (kind == authcore.MailReset) {
			t.Errorf("%s: link %q", email, m.Link)
		}
	}
	if err := h.Forgot(t.Context(), Forgetting{Email: "no address", Link: link}); !errors.Is(err, ErrInvalidEmail) {
		t.Error(err)
	}
}

// Attack: a key from before that undoes what the owner did since. A changed password, a removed one and a changed
// address make it worthless.
func TestKeysFromBeforeAreWorthless(t *testing.T) {
	reset := func(t *testing.T, h *house, k string) {
		t.Helper()
		if _, _, err := h.Reset(t.Context(), Resetting{Key: k, Password: wrong}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Error(err)
		}
	}
	t.Run("password changed", func(t *testing.T) {
		h := newHouse(t)
		u := h.account(t, alice, right)
		k := h.forgot(t, alice)
		if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: u.ID, Email: mallory, Link: link}); err != nil {
			t.Fatal(err)
		}
		email := key(t, h.mail(t, authcore.MailConfirmEmail, mallory))
		if _, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: second}); err != nil {
			t.Fatal(err)
		}
		reset(t, h, k)
		if _, err := h.ConfirmEmail(t.Context(), ConfirmingEmail{UserID: u.ID, Key: email}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Error("an address that was asked for before:", err)
		}
	})
	t.Run("address changed", func(t *testing.T) {
		h := newHouse(t)
		u := h.account(t, alice, right)
		k := h.forgot(t, alice)
		h.changeEmail(t, u.ID, "alice@new.example")
		reset(t, h, k)
	})
	t.Run("address changed by somebody else's code", func(t *testing.T) {
		h := newHouse(t)
		u := h.account(t, alice, right)
		k := h.forgot(t, alice)
		u.Email = "alice@new.example"
		if err := h.Stores.Users.UpdateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		reset(t, h, k)
	})
	t.Run("password removed", func(t *testing.T) {
		h := newHouse(t)
		u := h.withoutPassword(t, "w", alice)
		if _, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: right}); err != nil {
			t.Fatal(err)
		}
		h.mails(t)
		k := h.forgot(t, alice)
		c, err := h.Stores.Credentials.CredentialByKey(t.Context(), authcore.Password, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Stores.Credentials.DeleteCredential(t.Context(), u.ID, c.ID); err != nil {
			t.Fatal(err)
		}
		reset(t, h, k)
	})
	t.Run("account deleted", func(t *testing.T) {
		h := newHouse(t)
		u := h.account(t, alice, right)
		k := h.forgot(t, alice)
		if err := h.Stores.Users.DeleteUser(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		reset(t, h, k)
	})
}

func TestChange(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	h.session(t, u.ID, "this")
	h.session(t, u.ID, "stolen")
	ended, err := h.Change(t.Context(), Changing{UserID: u.ID, SessionID: "this", Password: second, By: about})
	if err != nil || !slices.Equal(ended, []string{"stolen"}) {
		t.Fatal(ended, err)
	}
	if m := h.mail(t, authcore.MailPasswordChanged, alice); m.Client != about.Client {
		t.Errorf("%+v", m)
	}
	if err := h.signIn(t, alice, second); err != nil {
		t.Error(err)
	}
	if err := h.signIn(t, alice, right); !errors.Is(err, ErrInvalidCredentials) {
		t.Error(err)
	}
	if _, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: "alice@example.com"}); !errors.Is(err, ErrWeakPassword) {
		t.Error(err)
	}
	if _, err := h.Change(t.Context(), Changing{UserID: "nobody", Password: second}); !errors.Is(err, authcore.ErrUserNotFound) {
		t.Error(err)
	}
}

func TestFirstPassword(t *testing.T) {
	h := newHouse(t)
	without := h.withoutPassword(t, "w", "")
	if _, err := h.Change(t.Context(), Changing{UserID: without.ID, Password: right}); !errors.Is(err, ErrNoEmail) {
		t.Error(err)
	}
	u := h.withoutPassword(t, "x", alice)
	if _, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: right}); err != nil {
		t.Fatal(err)
	}
	h.mail(t, authcore.MailPasswordChanged, alice)
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
}

// changeEmail takes a user to another address and answers the user.
func (h *house) changeEmail(tb testing.TB, userID, email string) authcore.User {
	tb.Helper()
	if err := h.RequestEmail(tb.Context(), RequestingEmail{UserID: userID, Email: email, By: about, Link: link}); err != nil {
		tb.Fatal(err)
	}
	k := key(tb, h.mail(tb, authcore.MailConfirmEmail, email))
	u, err := h.ConfirmEmail(tb.Context(), ConfirmingEmail{UserID: userID, Key: k, By: about})
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

func TestChangeEmail(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	changed := h.changeEmail(t, u.ID, "alice@new.example")
	stored, err := h.Stores.Users.User(t.Context(), u.ID)
	if err != nil || stored.Email != "alice@new.example" || stored.Username != "alice@new.example" {
		t.Errorf("%+v, %v", stored, err)
	}
	if changed.Email != stored.Email || changed.Username != stored.Username || changed.Version != stored.Version {
		t.Errorf("answered %+v, stored %+v", changed, stored)
	}
	if m := h.mail(t, authcore.MailEmailChanged, alice); m.Email != "alice@new.example" || m.Link != "" {
		t.Errorf("%+v", m)
	}
	if err := h.signIn(t, "alice@new.example", right); err != nil {
		t.Error(err)
	}
	if err := h.signIn(t, alice, right); !errors.Is(err, ErrInvalidCredentials) {
		t.Error("the old address:", err)
	}

	// The old address can be somebody else's now, who gets another username, which follows the address too.
	next := h.account(t, alice, second)
	if next.Username != alice+"."+next.ID[:8] {
		t.Errorf("%+v", next)
	}
	if next = h.changeEmail(t, next.ID, "next@example.com"); next.Username != "next@example.com" {
		t.Errorf("%+v", next)
	}
	h.mails(t)
	// A username that its owner chose stays.
	chosen := h.withoutPassword(t, "chosen", "")
	if chosen = h.changeEmail(t, chosen.ID, "chosen@example.com"); chosen.Username != "chosen" || chosen.Email != "chosen@example.com" {
		t.Errorf("%+v", chosen)
	}
	h.mail(t, authcore.MailDecoy, "") // there was no old address to write to
	// Back to a name that was given to another account.
	if again := h.changeEmail(t, next.ID, alice); again.Username != alice+"."+next.ID[:8] {
		t.Errorf("%+v", again)
	}
}

// Attack: taking over somebody's address, or learning that it is one.
func TestAnAddressOfSomebodyElse(t *testing.T) {
	h := newHouse(t)
	h.account(t, alice, right)
	thief := h.account(t, mallory, right)
	request := func(email string) []string {
		return h.ledger.during(func() {
			if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: thief.ID, Email: email, By: about, Link: link}); err != nil {
				t.Error(err)
			}
		})
	}
	free := request("free@example.com")
	k := key(t, h.mail(t, authcore.MailConfirmEmail, "free@example.com"))
	if taken := request(alice); !slices.Equal(taken, free) {
		t.Errorf("%q and %q", taken, free)
	}
	if m := h.mail(t, authcore.MailRegistered, alice); m.Link != "" {
		t.Errorf("%+v", m)
	}
	// The earlier request was replaced here too.
	if _, err := h.ConfirmEmail(t.Context(), ConfirmingEmail{UserID: thief.ID, Key: k}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
		t.Error(err)
	}
	// The address was free when it was asked for.
	request("race@example.com")
	k = key(t, h.mail(t, authcore.MailConfirmEmail, "race@example.com"))
	h.withoutPassword(t, "w", "race@example.com")
	if _, err := h.ConfirmEmail(t.Context(), ConfirmingEmail{UserID: thief.ID, Key: k}); !errors.Is(err, authcore.ErrEmailTaken) {
		t.Error(err)
	}
	if u, err := h.Stores.Users.User(t.Context(), thief.ID); err != nil || u.Email != mallory {
		t.Error(u, err)
	}
	if all := h.mails(t); len(all) != 0 {
		t.Errorf("mails about a change that was not made: %+v", all)
	}
	if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: thief.ID, Email: "x", Link: link}); !errors.Is(err, ErrInvalidEmail) {
		t.Error(err)
	}
	if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: "nobody", Email: alice, Link: link}); !errors.Is(err, authcore.ErrUserNotFound) {
		t.Error(err)
	}
}

// Attack: the mailed link, pressed by somebody who is signed in as somebody else: a stranger sends it to the victim, so
// that the victim's account gets the stranger's address. The key is the asker's, and stays good for them.
func TestAKeyOfAnotherUser(t *testing.T) {
	h := newHouse(t)
	victim := h.account(t, alice, right)
	thief := h.account(t, mallory, right)
	if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: thief.ID, Email: "new@evil.example", Link: link}); err != nil {
		t.Fatal(err)
	}
	k := key(t, h.mail(t, authcore.MailConfirmEmail, "new@evil.example"))
	for _, id := range []string{victim.ID, ""} {
		if _, err := h.ConfirmEmail(t.Context(), ConfirmingEmail{UserID: id, Key: k}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Error(err)
		}
	}
	if _, err := h.ConfirmEmail(t.Context(), ConfirmingEmail{UserID: thief.ID, Key: k}); err != nil {
		t.Error("spent by somebody else:", err)
	}
}

// Attack: a thief with a stolen session changes the password while the owner resets it. The change, which waits to be hashed,
// comes after the reset that ended the session, and would give the account to the thief for good.
func TestAChangeDuringAResetIsRefused(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	h.session(t, u.ID, "stolen")
	k := h.forgot(t, alice)
	derive, once := h.Hasher.derive, false
	h.Hasher.derive = func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		if !once {
			once = true
			if _, _, err := h.Reset(t.Context(), Resetting{Key: k, Password: second, By: about}); err != nil {
				t.Error(err)
			}
		}
		return derive(password, salt, time, memory, threads, size)
	}
	_, err := h.Change(t.Context(), Changing{UserID: u.ID, SessionID: "stolen", Password: wrong, By: about})
	if !errors.Is(err, authcore.ErrSessionNotFound) || errors.Is(err, authcore.ErrUnavailable) {
		t.Error(err)
	}
	if err := h.signIn(t, alice, second); err != nil {
		t.Errorf("the owner's new password: %v", err)
	}
	if err := h.signIn(t, alice, wrong); !errors.Is(err, ErrInvalidCredentials) {
		t.Errorf("the thief's: %v", err)
	}
}
