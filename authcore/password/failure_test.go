package password

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Whatever fails, at whatever step: the answer is that the work could not be done now, nobody is let in, no key is spent,
// no mail tells of what did not happen; and when all is well again, the same succeeds.
func TestStoresThatFail(t *testing.T) {
	type prepared func() error
	for name, prepare := range map[string]func(*testing.T, *house) prepared{
		"sign in": func(t *testing.T, h *house) prepared {
			h.account(t, alice, right)
			return func() error { return h.signIn(t, alice, right) }
		},
		"step up": func(t *testing.T, h *house) prepared {
			u := h.account(t, alice, right)
			return func() error { return h.StepUp(t.Context(), u.ID, Try{Password: right}) }
		},
		"register": func(t *testing.T, h *house) prepared {
			return func() error { return h.register(t, alice, right) }
		},
		"activate": func(t *testing.T, h *house) prepared {
			k := h.pending(t, alice, right)
			return func() error {
				_, err := h.Activate(t.Context(), Activating{Key: k})
				return err
			}
		},
		"forgot": func(t *testing.T, h *house) prepared {
			h.account(t, alice, right)
			return func() error { return h.Forgot(t.Context(), Forgetting{Email: alice, Link: link}) }
		},
		"reset": func(t *testing.T, h *house) prepared {
			u := h.account(t, alice, right)
			h.session(t, u.ID, "s1")
			k := h.forgot(t, alice)
			return func() error {
				_, ended, err := h.Reset(t.Context(), Resetting{Key: k, Password: second})
				if err != nil && ended != nil {
					t.Errorf("said that %q ended", ended)
				}
				return err
			}
		},
		"change": func(t *testing.T, h *house) prepared {
			u := h.account(t, alice, right)
			return func() error {
				_, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: second})
				return err
			}
		},
		"first password": func(t *testing.T, h *house) prepared {
			u := h.withoutPassword(t, "w", alice)
			return func() error {
				_, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: second})
				return err
			}
		},
		"request an address": func(t *testing.T, h *house) prepared {
			u := h.account(t, alice, right)
			return func() error {
				return h.RequestEmail(t.Context(), RequestingEmail{UserID: u.ID, Email: mallory, Link: link})
			}
		},
		"confirm an address": func(t *testing.T, h *house) prepared {
			u := h.account(t, alice, right)
			if err := h.RequestEmail(t.Context(), RequestingEmail{UserID: u.ID, Email: mallory, Link: link}); err != nil {
				t.Fatal(err)
			}
			k := key(t, h.mail(t, authcore.MailConfirmEmail, mallory))
			return func() error {
				_, err := h.ConfirmEmail(t.Context(), ConfirmingEmail{UserID: u.ID, Key: k})
				return err
			}
		},
		"suspended and lift": func(t *testing.T, h *house) prepared {
			u := h.account(t, alice, right)
			h.suspend(t, alice)
			return func() error { return h.Lift(t.Context(), u.ID) }
		},
		"device": func(t *testing.T, h *house) prepared {
			u := h.account(t, alice, right)
			return func() error {
				_, err := h.Device(t.Context(), u.ID)
				return err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			do := prepare(t, h)
			steps := h.ledger.during(func() {
				if err := do(); err != nil {
					t.Fatal(err)
				}
			})
			for i, step := range steps {
				if step == "hash" { // cannot fail
					continue
				}
				h := newHouse(t)
				do := prepare(t, h)
				h.ledger.fail = i + 1
				done := h.ledger.during(func() {
					if err := do(); !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, errDown) {
						t.Errorf("%s (step %d) fails: %v", step, i+1, err)
					}
				})
				if len(done) != i+1 {
					t.Errorf("went on after %s: %q", step, done)
				}
				h.ledger.fail = 0
				if all := h.mails(t); len(all) != 0 {
					t.Errorf("%s fails, and yet %+v", step, all)
				}
				if err := do(); err != nil {
					t.Errorf("%s failed before: %v", step, err)
				}
			}
		})
	}
}

// A suspension that cannot be told of is no verdict, and nobody is let in by it.
func TestSuspensionThatCannotBeTold(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	for range 4 {
		_ = h.signIn(t, alice, wrong)
	}
	h.ledger.fail = 8 // add mail
	h.ledger.during(func() {
		if err := h.signIn(t, alice, wrong); !errors.Is(err, authcore.ErrUnavailable) {
			t.Error(err)
		}
	})
	h.ledger.fail = 0
	if until, err := h.Suspended(t.Context(), u.ID); err != nil || until.IsZero() {
		t.Error(until, err)
	}
}

// Randomness that fails gives no key, no salt and no token that could be guessed.
func TestRandomnessThatFails(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	k := h.pending(t, "new@example.com", right)
	for _, n := range []int{0, 15} {
		h.Rand, h.Hasher.Rand = short(n), short(n)
		for name, do := range map[string]func() error{
			"sign in":  func() error { return h.signIn(t, alice, right) },
			"register": func() error { return h.register(t, "other@example.com", right) },
			"activate": func() error { _, err := h.Activate(t.Context(), Activating{Key: k}); return err },
			"forgot":   func() error { return h.Forgot(t.Context(), Forgetting{Email: alice, Link: link}) },
			"change":   func() error { _, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: second}); return err },
			"device":   func() error { _, err := h.Device(t.Context(), u.ID); return err },
		} {
			if do() == nil {
				t.Errorf("%s with %d random bytes", name, n)
			}
		}
	}
	if all := h.mails(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// short answers so many bytes and then an error.
type short int

func (s short) Read(b []byte) (int, error) { return min(int(s), len(b)), errDown }

func TestMailWithoutAnID(t *testing.T) {
	h := newHouse(t)
	seal := h.Seal
	h.Seal = func(ctx context.Context, m authcore.Mail) (authcore.SealedMail, error) {
		sealed, err := seal(ctx, m)
		sealed.ID = ""
		return sealed, err
	}
	if err := h.register(t, alice, right); err == nil {
		t.Error("stored a mail that has no name")
	}
}

func TestValidate(t *testing.T) {
	good := newHouse(t).Passwords
	for name, spoil := range map[string]func(*Passwords){
		"no users":            func(p *Passwords) { p.Stores.Users = nil },
		"no credentials":      func(p *Passwords) { p.Stores.Credentials = nil },
		"no sessions":         func(p *Passwords) { p.Stores.Sessions = nil },
		"no confirmations":    func(p *Passwords) { p.Stores.Confirmations = nil },
		"no outbox":           func(p *Passwords) { p.Stores.Outbox = nil },
		"no transactions":     func(p *Passwords) { p.Stores.Transactions = nil },
		"no attempts":         func(p *Passwords) { p.Attempts = nil },
		"no hasher":           func(p *Passwords) { p.Hasher = nil },
		"no seal":             func(p *Passwords) { p.Seal = nil },
		"short":               func(p *Passwords) { p.MinLength = 11 },
		"negative":            func(p *Passwords) { p.MinLength = -1 },
		"maximum too small":   func(p *Passwords) { p.MaxLength = 64 },
		"maximum too large":   func(p *Passwords) { p.MaxLength = 8193 }, // as JSON such a password would be no body that is read
		"more than maximum":   func(p *Passwords) { p.MinLength, p.MaxLength = 2000, 1024 },
		"negative tries":      func(p *Passwords) { p.Lockout.Tries = -1 },
		"negative suspension": func(p *Passwords) { p.Lockout.Suspend = -1 },
		"negative forgetting": func(p *Passwords) { p.Lockout.Forget = -1 },
		"negative confirm":    func(p *Passwords) { p.ConfirmTTL = -1 },
		"negative reset":      func(p *Passwords) { p.ResetTTL = -1 },
		"hasher":              func(p *Passwords) { p.Hasher = &Hasher{Memory: 1} },
	} {
		p := *good
		spoil(&p)
		if p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	p := *good
	p.MinLength, p.MaxLength, p.Lockout = 20, 4096, authcore.Lockout{Tries: 3, Suspend: time.Minute}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	if l := p.lockout(); l != (authcore.Lockout{Tries: 3, Suspend: time.Minute, Forget: 24 * time.Hour}) {
		t.Errorf("%+v", l)
	}
	if err := p.checkNew("kV9#tqLw2.xP", alice); !errors.Is(err, ErrWeakPassword) {
		t.Error("12 characters where 20 are asked for")
	}
	if (&Passwords{}).Validate() == nil {
		t.Error("the zero value is accepted")
	}
}
