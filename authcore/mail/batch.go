package mail

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// storeTimeout is how long the outbox may take to answer.
const storeTimeout = 10 * time.Second

// maxLost is how many connections of a batch may end before the first mail on them was answered, where the server did not
// fail before.
const maxLost = 2

// batch is the work on the mails of one claim: over one connection, unless the server ends it.
type batch struct {
	w      *Worker
	ctx    context.Context // of the worker
	work   context.Context // ends when the lease nearly does, or a little after the worker has to
	cancel func()
	began  time.Time // by the clock of the machine, that nobody sets: a lease is a length of time

	conn     Connection // nil: none is open
	answered int        // mails that were answered over conn
	lost     int        // connections that ended without one
	outage   bool       // the server is not to be tried again in this batch
}

func newBatch(ctx context.Context, w *Worker) *batch {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastEnd)
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(work, func() { timer.Stop() })
	})
	return &batch{w: w, ctx: ctx, work: work, cancel: func() { stop(); cancel() }, began: time.Now()}
}

func (b *batch) close() {
	b.hangUp()
	b.cancel()
}

func (b *batch) hangUp() {
	if b.conn != nil {
		_ = b.conn.Close() // what was taken was taken
		b.conn = nil
	}
}

// over reports whether no mail is to be begun any more.
func (b *batch) over() bool { return b.ctx.Err() != nil || time.Since(b.began) > lastBegin }

// settle sends a mail, deletes it, or makes it due later.
func (b *batch) settle(sealed authcore.SealedMail) {
	w, now := b.w, b.w.now()
	if w.sent[sealed.ID] {
		b.delete(sealed)
		return
	}
	if now.Sub(sealed.Created) >= maxAge {
		b.drop(sealed, "", "too_old")
		return
	}
	m, err := w.Open(b.work, sealed)
	switch {
	case err != nil:
		// The error may quote what is inside.
		w.failed(ClassUnopened, "a mail cannot be opened", "mail", sealed.ID, "unavailable", errors.Is(err, authcore.ErrUnavailable))
		b.retry(sealed)
		return
	case m.Kind == authcore.MailDecoy:
		b.delete(sealed)
		return
	case !m.Expires.IsZero() && !now.Before(m.Expires):
		b.drop(sealed, m.Kind, "expired")
		return
	}
	message, err := compose(w.templates, w.from, w.Name, sealed, m)
	switch {
	case errors.Is(err, ErrInvalid):
		b.drop(sealed, m.Kind, "invalid")
	case err != nil:
		w.failed(ClassUnopened, "a mail cannot be told", "mail", sealed.ID, "kind", string(m.Kind), "error", err)
		b.retry(sealed)
	default:
		b.send(sealed, m.Kind, message)
	}
}

func (b *batch) send(sealed authcore.SealedMail, kind authcore.MailKind, message Message) {
	if b.outage {
		b.retry(sealed) // the mail before told of it
		return
	}
	err := b.attempt(message)
	if err == nil {
		b.w.sent[sealed.ID] = true
		b.w.log().Info("a mail was sent", "mail", sealed.ID, "kind", string(kind), "tries", sealed.Tries)
		if b.w.Observer != nil {
			b.w.Observer.MailSent(kind)
		}
		b.delete(sealed)
		return
	}
	var f *Failure
	if !errors.As(err, &f) {
		b.drop(sealed, kind, "invalid")
		return
	}
	class := f.Class
	b.w.failed(class, "a mail was not sent", "mail", sealed.ID, "kind", string(kind), "tries", sealed.Tries, "error", err)
	if class == ClassRefused && sealed.Tries >= maxRefusals {
		b.drop(sealed, kind, "refused")
		return
	}
	b.retry(sealed)
}

// attempt sends over the connection at hand or a new one.
func (b *batch) attempt(message Message) error {
	for {
		if b.conn == nil {
			conn, err := b.w.Sender.Connect(b.work, b.w.from.Domain)
			if err != nil {
				b.outage = true
				return err
			}
			b.conn, b.answered = conn, 0
		}
		err := b.conn.Send(b.work, message)
		var f *Failure
		errors.As(err, &f)
		isLost := f != nil && f.Class == ClassLost
		if err != nil && !b.conn.Alive() {
			b.hangUp()
		}
		switch {
		case !isLost:
			b.answered++
			if b.outage = f != nil && f.outage(); !b.outage {
				b.w.failures = 0
			}
			return err
		case b.answered == 0:
			b.lost++
			b.outage = b.lost >= maxLost || b.w.failures > 0
			return err
		// Many servers take only so many mails over one connection. The mail that learns of it is sent over the next, unless
		// it may have been taken: then it waits for its turn, as it may arrive twice.
		case f.Code == 0 && f.Step != "mail" && f.Step != "rcpt":
			return err
		}
	}
}

// drop deletes a mail that is given up.
func (b *batch) drop(sealed authcore.SealedMail, kind authcore.MailKind, reason string) {
	b.w.log().Warn("a mail was given up", "mail", sealed.ID, "kind", string(kind), "reason", reason, "tries", sealed.Tries)
	if b.w.Observer != nil {
		b.w.Observer.MailDropped(reason)
	}
	b.delete(sealed)
}

// retry makes a mail due later.
func (b *batch) retry(sealed authcore.SealedMail) {
	b.postpone(sealed, b.w.now().Add(backoff(sealed.Tries)))
}

func (b *batch) postpone(sealed authcore.SealedMail, due time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), storeTimeout)
	defer cancel()
	if err := b.w.Outbox.DeferMail(ctx, sealed, due); err != nil {
		b.w.failed(ClassStore, "a mail cannot be deferred", "mail", sealed.ID, "error", err)
	}
}

func (b *batch) delete(sealed authcore.SealedMail) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), storeTimeout)
	defer cancel()
	if err := b.w.Outbox.DeleteMail(ctx, sealed); err != nil {
		b.w.failed(ClassStore, "a mail cannot be deleted", "mail", sealed.ID, "error", err)
		return
	}
	delete(b.w.sent, sealed.ID)
}
