package sqlstore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	// noticesKept is how long an instance may be cut off and still be told what it has missed.
	noticesKept = time.Hour
	noticeBatch = 500
	// noticeTimeout bounds one look for notices, so that a database that hangs is noticed.
	noticeTimeout = 3 * time.Second
	// maxListenPause is the longest pause before the next try after a failure: what works again is noticed soon.
	maxListenPause = time.Second
	minListenPause = 50 * time.Millisecond
	lookPause      = 500 * time.Millisecond
)

// Notify implements authcore.Notices. In a transaction, all are told when it is committed.
func (s *Store) Notify(ctx context.Context, n authcore.Notice) error {
	return s.transaction(ctx, "notify", func(ctx context.Context, r run) error {
		if s.dialect.Ordered != "" {
			if _, err := r.exec(ctx, s.dialect.Ordered); err != nil {
				return err
			}
		}
		_, err := r.exec(ctx, `INSERT INTO notices (kind, subject, created) VALUES (?, ?, ?)`, string(n.Kind), n.Subject, micros(s.now()))
		if err == nil && s.dialect.Announce != "" {
			_, err = r.exec(ctx, s.dialect.Announce)
		}
		return err
	})
}

// Listen implements authcore.Notices. It reads on from the last notice it has read; what announces notices only wakes it.
func (s *Store) Listen(ctx context.Context, to authcore.Listener) {
	l := listening{store: s, to: to, last: unknown}
	defer l.connect(false)
	for pause := minListenPause; ctx.Err() == nil; pause = min(2*pause, maxListenPause) {
		if l.listen(ctx); l.connected {
			pause = minListenPause
		}
		l.connect(false)
		l.late = true
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

const unknown = -1

// listening is what one Listen knows.
type listening struct {
	store     *Store
	to        authcore.Listener
	last      int64 // the id of the last notice read; unknown before the first look
	late      bool  // something may have been sent since Listen was called and before the first look
	connected bool
}

// listen tells what is sent until it is cut off.
func (l *listening) listen(ctx context.Context) {
	// It waits before it looks, so that nothing falls between.
	waiter, err := l.store.await(ctx)
	if err != nil {
		return
	}
	defer waiter.Close()
	for err == nil {
		if err = l.look(ctx); err == nil {
			l.connect(true)
			err = waiter.Wait(ctx)
		}
	}
}

func (l *listening) connect(is bool) {
	if l.connected != is {
		l.connected = is
		l.to.Connected(is)
	}
}

// look tells everything that was sent since the last look.
func (l *listening) look(ctx context.Context) error {
	if l.last == unknown {
		return l.start(ctx, l.late)
	}
	for {
		all, err := l.store.noticesFrom(ctx, l.last)
		if err != nil {
			return err
		}
		switch {
		case len(all) == 0:
			// Not even the last one is there: an older state was restored, in which ids begin again where they were.
			return l.start(ctx, true)
		case all[0].id != l.last:
			l.to.Missed() // the one it reads on from was swept with time, and so may be others
		default:
			all = all[1:]
		}
		for _, n := range all {
			l.to.Heard(n.Notice)
			l.last = n.id
		}
		if len(all) < noticeBatch {
			return nil
		}
	}
}

// start begins with what is sent from now on.
func (l *listening) start(ctx context.Context, missed bool) error {
	last, err := l.store.lastNotice(ctx)
	if err != nil {
		return err
	}
	if l.last = last; missed {
		l.to.Missed()
	}
	return nil
}

type notice struct {
	id int64
	authcore.Notice
}

func (s *Store) lastNotice(ctx context.Context) (id int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	err = s.read(ctx, "last notice", func(ctx context.Context, r run) error {
		_, err := r.row(ctx, `SELECT id FROM notices ORDER BY id DESC LIMIT 1`, nil, &id)
		return err
	})
	return id, err
}

// noticesFrom answers the notice with this id and up to noticeBatch that follow it.
func (s *Store) noticesFrom(ctx context.Context, id int64) (all []notice, err error) {
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	err = s.read(ctx, "notices", func(ctx context.Context, r run) error {
		all = nil
		return r.each(ctx, `SELECT id, kind, subject FROM notices WHERE id >= ? ORDER BY id LIMIT ?`, []any{id, noticeBatch + 1},
			func(scan func(...any) error) error {
				var n notice
				err := scan(&n.id, (*string)(&n.Kind), &n.Subject)
				all = append(all, n)
				return err
			})
	})
	return all, err
}

// look waits where nothing is announced.
func look(context.Context) (Waiter, error) { return lookout{time.NewTicker(lookPause)}, nil }

type lookout struct{ *time.Ticker }

func (l lookout) Wait(ctx context.Context) error {
	select {
	case <-l.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lookout) Close() { l.Stop() }
