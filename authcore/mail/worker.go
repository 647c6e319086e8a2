package mail

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	batchSize = 25
	lease     = 5 * time.Minute // how long a claimed mail is ours
	poll      = 5 * time.Second
	maxAge    = 3 * 24 * time.Hour // a mail is not sent when it is older
	// maxRefusals is the try from which on a mail that is refused for good is given up. More than one, since a server that
	// is set up wrongly for some minutes refuses for good, too.
	maxRefusals = 5

	// A batch begins no mail when half of the lease has passed, and has ended well before another instance may claim it.
	lastBegin = lease / 2
	lastEnd   = lease * 4 / 5
	// grace is how long a mail on its way may take to end when the worker has to.
	grace = 5 * time.Second
)

// Worker sends what is in the outbox. Any number of them may share one outbox. Set the fields before the first call and
// do not change or copy it afterwards.
type Worker struct {
	Outbox authcore.Outbox
	// Open answers what a sealed mail says. One that it cannot open is tried again until it is too old.
	Open      func(ctx context.Context, m authcore.SealedMail) (authcore.Mail, error)
	Sender    Sender
	Templates *Templates // nil: the built-in ones
	From      string     // `Example <auth@example.com>`; its domain is how the server is greeted
	Name      string     // of the product; empty: each mail tells the host of its site instead
	Observer  Observer   // may be nil
	Logger    *slog.Logger
	Now       func() time.Time

	once sync.Once
	wake chan struct{}

	from      From
	templates *Templates
	sent      map[string]bool // sent, but still in the outbox
	failures  int             // of the server, in a row
	resume    time.Time       // nothing is claimed before, since the server failed
}

// Observer counts what happens to mails. It is called by one goroutine.
type Observer interface {
	MailSent(kind authcore.MailKind)
	// MailFailed is told of each failure, after which mails are tried again.
	MailFailed(class Class)
	// MailDropped is told of mails that are given up: "expired", "too_old", "refused" or "invalid".
	MailDropped(reason string)
	// MailWaiting is told how many mails are in the outbox and how old the oldest of them is; 0 where there is none.
	MailWaiting(n int, age time.Duration)
}

// Validate reports what is wrong with the configuration, without looking at the network.
func (w *Worker) Validate() error {
	if w.Outbox == nil || w.Open == nil || w.Sender == nil {
		return errors.New("mail: worker: needs an outbox, a way to open its mails and a sender")
	}
	if s, ok := w.Sender.(*SMTP); ok {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	_, err := ParseFrom(w.From)
	return err
}

// Wake makes the worker look into the outbox now. It never blocks.
func (w *Worker) Wake() {
	w.prepare()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Worker) prepare() {
	w.once.Do(func() { w.wake = make(chan struct{}, 1) })
}

// Run sends until ctx ends, then gives back what it has claimed. It answers an error only where the configuration is
// wrong. A mail on its way then has five seconds to arrive.
func (w *Worker) Run(ctx context.Context) error {
	w.prepare()
	if err := w.begin(); err != nil {
		return err
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		more := w.round(ctx)
		w.observeWaiting(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-ticker.C:
		}
	}
}

func (w *Worker) begin() error {
	err := w.Validate()
	if err == nil {
		w.from, err = ParseFrom(w.From)
	}
	if w.templates = w.Templates; err == nil && w.templates == nil {
		w.templates, err = DefaultTemplates()
	}
	w.sent = make(map[string]bool)
	return err
}

func (w *Worker) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

func (w *Worker) log() *slog.Logger {
	if w.Logger != nil {
		return w.Logger
	}
	return slog.New(slog.DiscardHandler)
}

// round claims a batch and settles it. It answers whether there may be more that can be sent now.
func (w *Worker) round(ctx context.Context) (more bool) {
	now := w.now()
	// A clock that was set back must not make the pause longer.
	if pause := w.resume.Sub(now); pause > 0 && pause <= maxPause {
		return false
	}
	n := batchSize
	if w.failures > 0 {
		n = 1 // one mail finds out whether the server is back; the others are not claimed for nothing
	}
	claimed, err := w.claim(ctx, n, now)
	if err != nil {
		if ctx.Err() == nil {
			w.failed(ClassStore, "mails cannot be claimed", "error", err)
		}
		return false
	}
	if len(claimed) == 0 {
		return false
	}
	b := newBatch(ctx, w)
	for _, sealed := range claimed {
		if b.over() {
			b.postpone(sealed, now) // not begun: anybody may claim it at once
			continue
		}
		b.settle(sealed)
	}
	b.close()
	if b.outage {
		w.failures++
		w.resume = w.now().Add(min(backoff(w.failures), maxPause))
		return false
	}
	return len(claimed) == n
}

// claim asks no longer than the outbox may take: one that hangs must not keep the worker when it answers others again.
func (w *Worker) claim(ctx context.Context, n int, now time.Time) ([]authcore.SealedMail, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return w.Outbox.ClaimMails(ctx, n, now, now.Add(lease))
}

func (w *Worker) observeWaiting(ctx context.Context) {
	if w.Observer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	n, oldest, err := w.Outbox.MailWaiting(ctx)
	if err != nil {
		return // told already by who claims
	}
	var age time.Duration
	if n > 0 {
		age = max(0, w.now().Sub(oldest))
	}
	w.Observer.MailWaiting(n, age)
}

func (w *Worker) failed(class Class, message string, attrs ...any) {
	w.log().Warn(message, append([]any{"class", string(class)}, attrs...)...)
	if w.Observer != nil {
		w.Observer.MailFailed(class)
	}
}

// The delays of backoff.
const (
	firstDelay = 30 * time.Second
	lastDelay  = 40 * time.Minute
	// maxPause bounds how long nothing at all is tried at a server that fails: so long a new mail may wait once it is back.
	maxPause = 2 * time.Minute
)

// backoff answers how long to wait after so many tries: 30 s, doubled up to 40 min, and up to half as much again, so that
// what failed together does not come back together.
func backoff(tries int) time.Duration {
	d := firstDelay
	for range tries - 1 {
		if d *= 2; d >= lastDelay {
			d = lastDelay
			break
		}
	}
	return d + rand.N(d/2)
}
