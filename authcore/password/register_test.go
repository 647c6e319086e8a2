package password

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestRegisterAndActivate(t *testing.T) {
	h := newHouse(t)
	err := h.Register(t.Context(), Registering{
		Email: "Alice@Example.com", Password: right, Name: "Alice A.", Receipt: "a secret of this browser", By: about, Link: link,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := h.mail(t, authcore.MailConfirm, alice)
	if !m.Expires.Equal(h.now.Add(7*24*time.Hour)) || m.Origin != about.Origin || m.Client != about.Client || m.UserAgent != about.UserAgent || !m.Time.Equal(h.now) {
		t.Errorf("%+v", m)
	}
	receipt := "a secret of this browser"
	u, err := h.Activate(t.Context(), Activating{Key: key(t, m), Receipt: &receipt})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := h.Stores.Users.User(t.Context(), u.ID)
	if err != nil || stored.Email != alice || stored.Username != alice || stored.Name != "Alice A." || len(stored.Roles) != 0 || u.Email != alice {
		t.Errorf("%+v, %v", stored, err)
	}
	if c, err := h.Stores.Credentials.CredentialByKey(t.Context(), authcore.Password, u.ID); err != nil || !c.LastUsed.Equal(h.now) {
		t.Errorf("last used %v, %v", c.LastUsed, err)
	}
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	h := newHouse(t)
	if err := h.register(t, "not an address", right); !errors.Is(err, ErrInvalidEmail) {
		t.Error(err)
	}
	if err := h.register(t, alice, "too short"); !errors.Is(err, ErrWeakPassword) {
		t.Error(err)
	}
	h.closed = true
	if err := h.register(t, alice, right); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	h.MayRegister = nil
	if err := h.register(t, alice, right); !errors.Is(err, ErrClosed) {
		t.Error("nobody said who may:", err)
	}
	if all := h.mails(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// Attack: registering to learn who has an account. The answer is nil, and the work is the same; only the mailbox learns
// the difference.
func TestRegistrationIsNoOracle(t *testing.T) {
	h := newHouse(t)
	h.account(t, "taken@example.com", right)
	h.withoutPassword(t, "w", "wallet@example.com")
	h.pending(t, "pending@example.com", right)
	h.account(t, "suspended@example.com", right)
	h.suspend(t, "suspended@example.com")
	want := []string{"hash", "read user", "read credential", "count mail", "seal", "transact", "replace confirmation", "add mail"}
	for email, kind := range map[string]authcore.MailKind{
		"new@example.com": authcore.MailConfirm, "pending@example.com": authcore.MailConfirm,
		"taken@example.com": authcore.MailRegistered, "wallet@example.com": authcore.MailRegistered, "suspended@example.com": authcore.MailRegistered,
	} {
		done := h.ledger.during(func() {
			if err := h.register(t, email, second); err != nil {
				t.Errorf("%s: %v", email, err)
			}
		})
		if !slices.Equal(done, want) {
			t.Errorf("%s: %q", email, done)
		}
		if m := h.mail(t, kind, email); kind == authcore.MailRegistered && m.Link != "" {
			t.Error("the owner of an account is mailed a key")
		}
	}
	// The password of who registered counts for nothing.
	if err := h.signIn(t, "taken@example.com", second); !errors.Is(err, ErrInvalidCredentials) {
		t.Error(err)
	}
	if err := h.signIn(t, "taken@example.com", right); err != nil {
		t.Error(err)
	}
}

// Attack: a stranger registers the victim's address with a password of the stranger's, and waits for the victim to press
// the button in the mail. The victim's browser has no receipt of that registration, so a password is asked for, and it is
// that one which counts. The key stays good until it is given.
func TestPreRegistrationGainsNothing(t *testing.T) {
	h := newHouse(t)
	err := h.Register(t.Context(), Registering{Email: alice, Password: wrong, Name: "Mallory", Receipt: "of mallory's browser", By: about, Link: link})
	if err != nil {
		t.Fatal(err)
	}
	k := key(t, h.mail(t, authcore.MailConfirm, alice))
	for _, receipt := range []string{"", "of alice's browser"} {
		if _, err := h.Activate(t.Context(), Activating{Key: k, Receipt: &receipt}); !errors.Is(err, ErrPasswordRequired) {
			t.Fatalf("%q: %v", receipt, err)
		}
	}
	none := ""
	if _, err := h.Activate(t.Context(), Activating{Key: k, Receipt: &none, Password: "password1234"}); !errors.Is(err, ErrWeakPassword) {
		t.Fatal(err)
	}
	u, err := h.Activate(t.Context(), Activating{Key: k, Receipt: &none, Password: right})
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "" {
		t.Errorf("the account has the stranger's name %q", u.Name)
	}
	if err := h.signIn(t, alice, wrong); !errors.Is(err, ErrInvalidCredentials) {
		t.Error("the stranger's password:", err)
	}
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
}

// Attack: the same by a program, which registers without a receipt; "no receipt" of the page must not be equal to that.
func TestPreRegistrationWithoutAReceipt(t *testing.T) {
	h := newHouse(t)
	k, none := h.pending(t, alice, wrong), ""
	if _, err := h.Activate(t.Context(), Activating{Key: k, Receipt: &none}); !errors.Is(err, ErrPasswordRequired) {
		t.Fatal(err)
	}
	// For the programs that registered, the key is enough.
	if _, err := h.Activate(t.Context(), Activating{Key: k}); err != nil {
		t.Error(err)
	}
}

// Attack: an old mail, found in an archive or sent on, activates a registration with the password of that time. The
// newest registration is the only one.
func TestANewerKeyKillsTheOlder(t *testing.T) {
	h := newHouse(t)
	older := h.pending(t, alice, wrong)
	newer := h.pending(t, alice, right)
	if _, err := h.Activate(t.Context(), Activating{Key: older}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
		t.Error(err)
	}
	if _, err := h.Activate(t.Context(), Activating{Key: newer}); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{older, newer} {
		if _, err := h.Activate(t.Context(), Activating{Key: k}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Error("activated again:", err)
		}
	}
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}

	reset := h.forgot(t, alice)
	h.forgot(t, alice)
	if _, _, err := h.Reset(t.Context(), Resetting{Key: reset, Password: second}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
		t.Error(err)
	}
}

func TestKeysExpire(t *testing.T) {
	h := newHouse(t)
	activation := h.pending(t, "new@example.com", right)
	u := h.account(t, alice, right)
	reset := h.forgot(t, alice)
	if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: u.ID, Email: "alice@new.example", Link: link}); err != nil {
		t.Fatal(err)
	}
	email := key(t, h.mail(t, authcore.MailConfirmEmail, "alice@new.example"))

	h.now = h.now.Add(time.Hour)
	if _, _, err := h.Reset(t.Context(), Resetting{Key: reset, Password: second}); !errors.Is(err, authcore.ErrConfirmationExpired) {
		t.Error(err)
	}
	h.now = h.now.Add(7*24*time.Hour - time.Hour)
	if _, err := h.Activate(t.Context(), Activating{Key: activation}); !errors.Is(err, authcore.ErrConfirmationExpired) {
		t.Error(err)
	}
	if _, err := h.ConfirmEmail(t.Context(), ConfirmingEmail{UserID: u.ID, Key: email}); !errors.Is(err, authcore.ErrConfirmationExpired) {
		t.Error(err)
	}
	// What expired is replaced by a new registration.
	if _, err := h.Activate(t.Context(), Activating{Key: h.pending(t, "new@example.com", right)}); err != nil {
		t.Error(err)
	}
	// A moment before, it is good.
	activation = h.pending(t, "later@example.com", right)
	h.now = h.now.Add(7*24*time.Hour - time.Microsecond)
	if _, err := h.Activate(t.Context(), Activating{Key: activation}); err != nil {
		t.Error(err)
	}
}

// Attack: the key of one mail where that of another belongs, to skip what the other asks for.
func TestKeysAreForOnePurpose(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	activation := h.pending(t, "new@example.com", right)
	reset := h.forgot(t, alice)
	if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: u.ID, Email: "alice@new.example", Link: link}); err != nil {
		t.Fatal(err)
	}
	email := key(t, h.mail(t, authcore.MailConfirmEmail, "alice@new.example"))
	for name, k := range map[string]string{"activation": activation, "reset": reset, "email": email, "none": "", "unknown": strings.Repeat("0", 32)} {
		if _, err := h.Activate(t.Context(), Activating{Key: k}); name != "activation" && !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Errorf("%s activates: %v", name, err)
		}
		if _, err := h.ConfirmEmail(t.Context(), ConfirmingEmail{UserID: u.ID, Key: k}); name != "email" && !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Errorf("%s changes the address: %v", name, err)
		}
		if _, _, err := h.Reset(t.Context(), Resetting{Key: k, Password: second}); name != "reset" && !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Errorf("%s resets: %v", name, err)
		}
	}
}

// Attack: a stranger registers the victim's address after the victim's program did, so that the key in the newest mail is
// that of the stranger's registration. A program that gives its password with the key gets that, and no name of the
// stranger's; one that registered itself keeps its own name.
func TestPreRegistrationGainsNothingOverAProgram(t *testing.T) {
	own, strangers := Registering{Name: "Alice", Password: right}, Registering{Name: "Mallory", Password: wrong}
	for name, registrations := range map[string][]Registering{"Alice": {strangers, own}, "": {strangers, own, strangers}} {
		h := newHouse(t)
		for _, r := range registrations {
			h.now = h.now.Add(time.Second)
			r.Email, r.By, r.Link = alice, about, link
			if err := h.Register(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		all := h.mails(t)
		u, err := h.Activate(t.Context(), Activating{Key: key(t, all[len(all)-1]), Password: right})
		if err != nil || u.Name != name {
			t.Errorf("%q, %v, want the name %q", u.Name, err, name)
		}
		if err := h.signIn(t, alice, right); err != nil {
			t.Error(err)
		}
		if err := h.signIn(t, alice, wrong); !errors.Is(err, ErrInvalidCredentials) {
			t.Error("the stranger's password:", err)
		}
	}
}

// Attack: filling somebody's mailbox, or replacing the key in it so often that it is never the newest. After five mails
// in an hour nothing is sent and nothing replaced, and that looks no different for an address that has an account.
func TestMailsToOneAddressAreLimited(t *testing.T) {
	h := newHouse(t)
	h.account(t, "taken@example.com", right)
	var last string
	for range 5 {
		last = h.pending(t, alice, right)
	}
	for range 4 {
		if err := h.register(t, "taken@example.com", wrong); err != nil {
			t.Fatal(err)
		}
	}
	h.mails(t)
	var lists [2][]string
	for i, email := range []string{"ALICE@example.com", "taken@example.com"} {
		lists[i] = h.ledger.during(func() {
			if err := h.register(t, email, wrong); err != nil {
				t.Error(err)
			}
		})
		h.mail(t, authcore.MailDecoy, "")
	}
	if !slices.Equal(lists[0], lists[1]) {
		t.Errorf("%q and %q", lists[0], lists[1])
	}
	if _, err := h.Activate(t.Context(), Activating{Key: last}); err != nil {
		t.Error("the key in the mailbox is good no more:", err)
	}
	for range 5 {
		last = h.forgot(t, alice)
	}
	if err := h.Forgot(t.Context(), Forgetting{Email: alice, Link: link}); err != nil {
		t.Fatal(err)
	}
	h.mail(t, authcore.MailDecoy, "")
	if _, _, err := h.Reset(t.Context(), Resetting{Key: last, Password: second}); err != nil {
		t.Error("the key in the mailbox is good no more:", err)
	}
	h.mails(t)
	h.now = h.now.Add(time.Hour)
	h.forgot(t, alice)
}

// Attack: a stranger registers somebody's address five times an hour, so that the owner, who has forgotten the password,
// is never sent the key for a new one; or asks for a new password for an address without an account, whose owner then
// waits in vain for the mail that confirms the registration.
func TestMailsAboutOneThingKeepNobodyFromAnother(t *testing.T) {
	h := newHouse(t)
	h.account(t, alice, right)
	for range 6 {
		if err := h.register(t, alice, wrong); err != nil {
			t.Fatal(err)
		}
		if err := h.Forgot(t.Context(), Forgetting{Email: "new@example.com", Link: link}); err != nil {
			t.Fatal(err)
		}
	}
	h.mails(t)
	h.forgot(t, alice)
	h.pending(t, "new@example.com", right)
}

// Attack: guessing on and on, not for the password but for the mails about it. Where a suspension is short, each of many
// would have one sent.
func TestMailsAboutSuspensionsAreLimited(t *testing.T) {
	h := newHouse(t)
	h.Lockout.Suspend = time.Second
	h.account(t, alice, right)
	told := map[authcore.MailKind]int{}
	suspend := func() {
		for range 5 {
			_ = h.signIn(t, alice, wrong)
		}
		for _, m := range h.mails(t) {
			told[m.Kind]++
		}
		h.now = h.now.Add(time.Second)
	}
	for range 20 {
		suspend()
	}
	if told[authcore.MailSuspended] != 5 || told[authcore.MailDecoy] != 15 {
		t.Errorf("%v", told)
	}
	h.forgot(t, alice) // that mails about suspensions are too many keeps nobody from another one
	h.now = h.now.Add(time.Hour)
	if suspend(); told[authcore.MailSuspended] != 6 {
		t.Errorf("%v, an hour later", told)
	}
}

// Attack: words of the sender's choice in a mail that this site sends to a stranger.
func TestStrangersWriteNothingInMails(t *testing.T) {
	h := newHouse(t)
	evil := authcore.Trace{Origin: about.Origin, Client: "192.0.2.1\r\nBcc: victim@example.org", UserAgent: "x\r\nBcc: victim@example.org\u202e" + strings.Repeat("é", 1000)}
	err := h.Register(t.Context(), Registering{Email: alice, Password: right, Name: "You won! http://evil.example\r\n", By: evil, Link: link})
	if err != nil {
		t.Fatal(err)
	}
	m := h.mail(t, authcore.MailConfirm, alice)
	if m.Name != "" || strings.ContainsAny(m.Client+m.UserAgent, "\r\n\u202e") || len(m.UserAgent) > 256 {
		t.Errorf("%+v", m)
	}
	u, err := h.Activate(t.Context(), Activating{Key: key(t, m)})
	if err != nil || strings.ContainsAny(u.Name, "\r\n") {
		t.Errorf("%q, %v", u.Name, err)
	}
	if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: u.ID, Email: "victim@example.org", Link: link}); err != nil {
		t.Fatal(err)
	}
	if m := h.mail(t, authcore.MailConfirmEmail, "victim@example.org"); m.Name != "" {
		t.Errorf("%+v", m)
	}
}

// Only hashes of keys and passwords are stored, and nothing of them is in an error.
func TestNoSecretIsStoredOrTold(t *testing.T) {
	h := newHouse(t)
	k := h.pending(t, alice, right)
	c, err := h.Stores.Confirmations.Confirmation(t.Context(), authcore.ConfirmRegistration, authcore.HashSecret(k))
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%s %+v", c.Data, c); strings.Contains(text, k) || strings.Contains(text, right) {
		t.Error(text)
	}
	_, errKey := h.Activate(t.Context(), Activating{Key: k + "x"})
	for _, err := range []error{
		errKey, h.signIn(t, "nobody@example.com", right), h.signIn(t, "typed in error: "+right, right), h.register(t, alice, "short "+right[:4]),
		h.register(t, right, right), h.register(t, alice, "password12345678"),
	} {
		if err == nil || strings.Contains(err.Error(), right[:4]) || strings.Contains(err.Error(), k) || strings.Contains(err.Error(), "nobody@") || strings.Contains(err.Error(), "password12345678") {
			t.Error(err)
		}
	}
}

// The configuration counts when the account is opened: who may register can have changed in a week.
func TestMayRegisterIsAskedAgain(t *testing.T) {
	h := newHouse(t)
	k := h.pending(t, alice, right)
	h.closed = true
	if _, err := h.Activate(t.Context(), Activating{Key: k}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	h.closed = false
	if _, err := h.Activate(t.Context(), Activating{Key: k}); err != nil {
		t.Error("the key was spent:", err)
	}
}

// One account per address: who confirmed it in another way is the owner, and an earlier registration opens no second one.
func TestOneAccountPerAddress(t *testing.T) {
	h := newHouse(t)
	k := h.pending(t, alice, right)
	h.withoutPassword(t, "w", alice)
	if _, err := h.Activate(t.Context(), Activating{Key: k}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
		t.Error(err)
	}
}

// A username is never given again, but the address can be: its next owner gets another username.
func TestUsernameOfADeletedAccount(t *testing.T) {
	h := newHouse(t)
	old := h.account(t, alice, right)
	if err := h.Stores.Users.DeleteUser(t.Context(), old.ID); err != nil {
		t.Fatal(err)
	}
	u := h.account(t, alice, second)
	if u.Username != alice+"."+u.ID[:8] || u.Email != alice {
		t.Errorf("%+v", u)
	}
	if err := h.signIn(t, alice, second); err != nil {
		t.Error(err)
	}
}

// What a client sends as a key is a key or nothing; it spends no other one.
func FuzzKeys(f *testing.F) {
	h := newHouse(f)
	activation := h.pending(f, "new@example.com", right)
	h.account(f, alice, right)
	reset := h.forgot(f, alice)
	for _, s := range []string{"", activation[:31], activation + " ", strings.ToUpper(activation), reset + "\x00", "nobody", "' OR 1=1 --", strings.Repeat("0", 32)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == activation || s == reset {
			return
		}
		if _, err := h.Activate(t.Context(), Activating{Key: s}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Errorf("%q: %v", s, err)
		}
		if _, _, err := h.Reset(t.Context(), Resetting{Key: s, Password: second}); !errors.Is(err, authcore.ErrConfirmationNotFound) {
			t.Errorf("%q: %v", s, err)
		}
		for purpose, k := range map[authcore.ConfirmationPurpose]string{authcore.ConfirmRegistration: activation, authcore.ConfirmReset: reset} {
			if _, err := h.Stores.Confirmations.Confirmation(t.Context(), purpose, authcore.HashSecret(k)); err != nil {
				t.Errorf("%q spent the key for %s: %v", s, purpose, err)
			}
		}
	})
}
