package caddymodule

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/mail"
	"github.com/caddy-authgate/authgate/authcore/password"
)

// addMailed adds to the configuration what needs mail, where that is configured.
func (a *App) addMailed(config *gateway.RealmConfig) {
	if a.Mail == nil {
		return
	}
	config.Mail = new(gateway.MailConfig)
	if config.Password = a.Password.config(); config.Password != nil && a.product() != "" {
		config.Password.Sites = []string{a.product()}
	}
}

// product is how mails call what one signs in to; where there is no name for it they tell the site's host.
func (a *App) product() string {
	if a.Passkey == nil {
		return ""
	}
	return a.Passkey.RPName
}

// provisionMail makes the means to send mails and to hash passwords, and connects to nothing.
func (a *App) provisionMail(config *gateway.RealmConfig) error {
	if err := a.checkMailed(); err != nil {
		return err
	}
	if a.Mail == nil {
		return nil
	}
	p, err := a.Mail.provision()
	if err != nil {
		return err
	}
	a.worker = &mail.Worker{
		Outbox: config.Stores.Outbox, Sender: p.sender, Templates: p.templates, From: p.from, Name: a.product(),
		// The realm is made after its mails' worker, which it wakes.
		Open: func(ctx context.Context, m authcore.SealedMail) (authcore.Mail, error) {
			return a.realm.OpenMail(ctx, m)
		},
		Observer: counted.mails, Logger: a.logger,
	}
	if err := a.worker.Validate(); err != nil {
		return err
	}
	config.Mail.Wake = a.worker.Wake
	if config.Password != nil {
		// One for the process, whatever is reloaded: it is what bounds the memory and the cores that hashing takes.
		key := poolKey{"hasher", ""}
		hasher, _ := pool.LoadOrStore(key, new(password.Hasher))
		a.released(key)
		config.Password.Hasher = hasher.(*password.Hasher)
		counted.hashing.hasher.Store(config.Password.Hasher)
	}
	return nil
}

// sendMails sends what is in the outbox until the configuration ends. The worker of the next one goes on with what this one
// leaves: each mail is claimed by one of them.
func (a *App) sendMails() {
	if a.worker == nil {
		counted.mails.MailWaiting(0, 0) // nobody looks any more
		return
	}
	if err := a.worker.Run(a.ctx); err != nil {
		a.logger.Error("mails are not sent", "error", err)
	}
}
