package password

import (
	"context"
	"errors"

	"github.com/caddy-authgate/authgate/authcore"
)

// seal makes a mail ready for the outbox, due at once.
func (p *Passwords) seal(ctx context.Context, m authcore.Mail, by authcore.Trace) (authcore.SealedMail, error) {
	now := p.now()
	m.Time = now
	m.Origin, m.Client, m.UserAgent = by.Origin, authcore.ClientText(by.Client), authcore.ClientText(by.UserAgent)
	sealed, err := p.Seal(ctx, m)
	switch {
	case err != nil:
		return authcore.SealedMail{}, authcore.StoreError("password: seal a mail", err)
	case sealed.ID == "":
		return authcore.SealedMail{}, errors.New("password: seal a mail: it got no id")
	}
	sealed.Created, sealed.Due = now, now
	return sealed, nil
}

// mayMail counts a mail that somebody wants to have sent to an address, and reports whether it may be: nobody has a
// mailbox filled, or keeps the key in it from ever being the newest one. Mails about one thing do not count for another:
// else whoever registers somebody's address now and then would keep the owner from ever setting a new password.
func (p *Passwords) mayMail(ctx context.Context, about, email string) (bool, error) {
	attempts, err := p.Attempts.CountAttempt(ctx, "mail-to "+about+" "+hashed(email), mailWindow, p.now())
	if err != nil {
		return false, authcore.StoreError("password: count the mail", err)
	}
	return attempts.Count <= mailsPerWindow, nil
}

// announce stores a confirmation in place of an earlier one, and the mail about it, in one step. Beyond the limit of mails
// it leaves the earlier one, whose key is in a mail already, and writes to nobody.
func (p *Passwords) announce(ctx context.Context, email string, c authcore.Confirmation, m authcore.Mail, by authcore.Trace) error {
	may, err := p.mayMail(ctx, string(c.Purpose), email)
	if err != nil {
		return err
	}
	if !may {
		m = authcore.Mail{Kind: authcore.MailDecoy}
	}
	sealed, err := p.seal(ctx, m, by)
	if err != nil {
		return err
	}
	return p.transact(ctx, "store a confirmation", func(s authcore.Stores) error {
		if may {
			if err := s.Confirmations.ReplaceConfirmation(ctx, c); err != nil {
				return err
			}
		}
		return s.Outbox.AddMail(ctx, sealed)
	})
}

// event makes an event of the audit log, to be written with what it tells of.
func (p *Passwords) event(kind authcore.EventKind, code, subject string, by authcore.Trace, detail string) (authcore.Event, error) {
	return authcore.NewEvent(p.Rand, p.now(), kind, code, subject, by, detail)
}

// transact makes the changes of f one. The errors that are known are passed on.
func (p *Passwords) transact(ctx context.Context, doing string, f func(authcore.Stores) error, known ...error) error {
	if err := p.Stores.Transactions.Transact(ctx, f); err != nil {
		return authcore.StoreError("password: "+doing, err, known...)
	}
	return nil
}

// counted is what count answers, where it is given.
func counted(count func() error) error {
	if count == nil {
		return nil
	}
	return count()
}
