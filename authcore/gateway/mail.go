package gateway

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
)

// MailConfig says that mails in the outbox are sent, by whoever opens them with OpenMail.
type MailConfig struct {
	// Wake is called when a mail was written, so that it is sent at once. It must not block. Default: it waits until the
	// outbox is looked at.
	Wake func()
}

const (
	mailSecret   = "mail" // the purpose of the secret
	sealedFormat = 1      // the first byte of a sealed mail; the length of the key's id is next
)

func mailCipher(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("gateway: cipher of mails: %w", err)
	}
	return cipher.NewGCM(block)
}

// seal makes a mail fit for the outbox: whoever reads the store alone learns neither a key nor an address of it. It may
// read keys, and so is not for the inside of a transaction, where the store could wait for itself.
func (r *Realm) seal(ctx context.Context, m authcore.Mail) (authcore.SealedMail, error) {
	keyID, secret, err := r.keys.Sealing(ctx, mailSecret)
	if err != nil {
		return authcore.SealedMail{}, err
	}
	aead, err := mailCipher(secret)
	if err != nil {
		return authcore.SealedMail{}, err
	}
	id, err := r.newID()
	if err != nil {
		return authcore.SealedMail{}, err
	}
	nonce, err := r.random(aead.NonceSize())
	if err != nil {
		return authcore.SealedMail{}, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return authcore.SealedMail{}, fmt.Errorf("gateway: seal mail: %w", err)
	}
	sealed := append([]byte{sealedFormat, byte(len(keyID))}, keyID...)
	sealed = aead.Seal(append(sealed, nonce...), nonce, text, []byte(id))
	r.Observer.MailWritten(m.Kind)
	now := r.Now()
	return authcore.SealedMail{ID: id, Sealed: sealed, Created: now, Due: now}, nil
}

// OpenMail answers what a mail of the outbox says. Its error is authcore.ErrUnavailable where the keys could not be read
// now; any other one stays: the mail was sealed with a key that is gone, or is damaged.
func (r *Realm) OpenMail(ctx context.Context, m authcore.SealedMail) (authcore.Mail, error) {
	b := m.Sealed
	if len(b) < 2 || b[0] != sealedFormat || len(b) < 2+int(b[1]) {
		return authcore.Mail{}, errors.New("gateway: open mail: malformed")
	}
	end := 2 + int(b[1])
	id, b := string(b[2:end]), b[end:]
	secret, err := r.keys.Opening(ctx, id, mailSecret)
	if err != nil {
		return authcore.Mail{}, fmt.Errorf("gateway: open mail: %w", err)
	}
	aead, err := mailCipher(secret)
	if err != nil {
		return authcore.Mail{}, err
	}
	n := aead.NonceSize()
	if len(b) < n {
		return authcore.Mail{}, errors.New("gateway: open mail: malformed")
	}
	text, err := aead.Open(nil, b[:n], b[n:], []byte(m.ID))
	if err != nil {
		return authcore.Mail{}, fmt.Errorf("gateway: open mail: %w", err)
	}
	var mail authcore.Mail
	if err := json.Unmarshal(text, &mail); err != nil {
		return authcore.Mail{}, fmt.Errorf("gateway: open mail: %w", err)
	}
	return mail, nil
}

// mailing is transactions that wake who sends mails once one was written.
type mailing struct {
	authcore.Transactions
	wake func()
}

func (m mailing) Transact(ctx context.Context, f func(authcore.Stores) error) error {
	wrote := false
	err := m.Transactions.Transact(ctx, func(s authcore.Stores) error {
		wrote = false
		s.Outbox = notingOutbox{s.Outbox, &wrote}
		return f(s)
	})
	if err == nil && wrote {
		m.wake()
	}
	return err
}

type notingOutbox struct {
	authcore.Outbox
	wrote *bool
}

func (o notingOutbox) AddMail(ctx context.Context, m authcore.SealedMail) error {
	*o.wrote = true
	return o.Outbox.AddMail(ctx, m)
}

// trace is who sent a request, from where, and through which session.
func (g *Gateway) trace(r *http.Request, v *visitor) authcore.Trace {
	by := authcore.Trace{Origin: g.origin.text, Client: g.realm.ClientIP(r).String(), UserAgent: authcore.ClientText(r.UserAgent())}
	if v.identity != nil {
		by.Actor, by.SessionID = v.identity.Subject, v.identity.SessionID
	}
	return by
}

// changeMethods changes what a user signs in with, writes the event, and tells them by mail, where there is an address to
// tell: all of it happens, or nothing.
func (r *Realm) changeMethods(ctx context.Context, u authcore.User, kind authcore.MailKind, c authcore.Credential, by authcore.Trace, change func(authcore.Stores) error) error {
	event := authcore.EventMethodAdded
	if kind == authcore.MailMethodRemoved {
		event = authcore.EventMethodRemoved
	}
	tell, err := r.told(ctx, u, authcore.Mail{Kind: kind, Method: c.Kind, Label: label(c)}, by)
	if err != nil {
		return err
	}
	return r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		if err := change(s); err != nil {
			return err
		}
		if err := r.note(ctx, s, event, string(c.Kind), u.ID, by, label(c)); err != nil {
			return err
		}
		return tell(s)
	})
}

// label is what tells a credential to its owner.
func label(c authcore.Credential) string {
	switch c.Kind {
	case authcore.Wallet, authcore.ProgramKey:
		return cmp.Or(c.Name, c.Key)
	case authcore.Passkey:
		record, err := passkey.ReadRecord(c)
		if err == nil {
			return cmp.Or(c.Name, passkey.Provider(record.AAGUID))
		}
	}
	return c.Name
}
