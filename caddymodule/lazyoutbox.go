package caddymodule

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func (l lazyAccounts) ReplaceConfirmation(ctx context.Context, c authcore.Confirmation) error {
	return tell(ctx, l.opening, l.metrics, "replace_confirmation", func(open OpenStore) error { return open.Confirmations.ReplaceConfirmation(ctx, c) })
}

func (l lazyAccounts) Confirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, keyHash [32]byte) (authcore.Confirmation, error) {
	return ask(ctx, l.opening, l.metrics, "confirmation", func(open OpenStore) (authcore.Confirmation, error) {
		return open.Confirmations.Confirmation(ctx, purpose, keyHash)
	})
}

func (l lazyAccounts) ConsumeConfirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, keyHash [32]byte, now time.Time) (authcore.Confirmation, error) {
	return ask(ctx, l.opening, l.metrics, "consume_confirmation", func(open OpenStore) (authcore.Confirmation, error) {
		return open.Confirmations.ConsumeConfirmation(ctx, purpose, keyHash, now)
	})
}

func (l lazyAccounts) DeleteConfirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, subject string) error {
	return tell(ctx, l.opening, l.metrics, "delete_confirmation", func(open OpenStore) error {
		return open.Confirmations.DeleteConfirmation(ctx, purpose, subject)
	})
}

func (l lazyAccounts) DeleteExpiredConfirmations(ctx context.Context, before time.Time) (int, error) {
	return ask(ctx, l.opening, l.metrics, "delete_expired_confirmations", func(open OpenStore) (int, error) {
		return open.Confirmations.DeleteExpiredConfirmations(ctx, before)
	})
}

func (l lazyAccounts) AddMail(ctx context.Context, m authcore.SealedMail) error {
	return tell(ctx, l.opening, l.metrics, "add_mail", func(open OpenStore) error { return open.Outbox.AddMail(ctx, m) })
}

func (l lazyAccounts) ClaimMails(ctx context.Context, n int, now, until time.Time) ([]authcore.SealedMail, error) {
	return ask(ctx, l.opening, l.metrics, "claim_mails", func(open OpenStore) ([]authcore.SealedMail, error) {
		return open.Outbox.ClaimMails(ctx, n, now, until)
	})
}

func (l lazyAccounts) DeferMail(ctx context.Context, m authcore.SealedMail, due time.Time) error {
	return tell(ctx, l.opening, l.metrics, "defer_mail", func(open OpenStore) error { return open.Outbox.DeferMail(ctx, m, due) })
}

func (l lazyAccounts) DeleteMail(ctx context.Context, m authcore.SealedMail) error {
	return tell(ctx, l.opening, l.metrics, "delete_mail", func(open OpenStore) error { return open.Outbox.DeleteMail(ctx, m) })
}

func (l lazyAccounts) MailWaiting(ctx context.Context) (n int, oldest time.Time, err error) {
	err = tell(ctx, l.opening, l.metrics, "mail_waiting", func(open OpenStore) error {
		n, oldest, err = open.Outbox.MailWaiting(ctx)
		return err
	})
	return n, oldest, err
}

// Transact counts as one operation. An error of f is a verdict of whoever wrote it; the store failed only where it says so.
// Where the store carries no notices, there is nobody to be told those of the transaction.
func (l lazyAccounts) Transact(ctx context.Context, f func(authcore.Stores) error) error {
	began := time.Now()
	end := storeSpan(ctx, "transact")
	open, err := l.opening.get(ctx)
	if err == nil {
		err = open.Transactions.Transact(ctx, func(stores authcore.Stores) error {
			if stores.Notices == nil {
				stores.Notices = nobody{}
			}
			return f(stores)
		})
	}
	l.metrics.stored("transact", time.Since(began), failed(err) && errors.Is(err, authcore.ErrUnavailable))
	end(authcore.Outcome(err))
	return err
}

var (
	_ authcore.Confirmations = lazyAccounts{}
	_ authcore.Outbox        = lazyAccounts{}
	_ authcore.Transactions  = lazyAccounts{}
)
