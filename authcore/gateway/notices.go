package gateway

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// notices answers what carries notices between instances, nil where this one is alone.
func (r *Realm) notices() authcore.Notices {
	if r.Challenges.Notices != nil {
		return r.Challenges.Notices
	}
	return r.Stores.Notices
}

// Listen hears what other instances tell until ctx ends: sign-outs and changed roles hold here at once. It is to be
// called once for a realm in use.
func (r *Realm) Listen(ctx context.Context) {
	if n := r.notices(); n != nil {
		n.Listen(ctx, listener{r, ctx})
	}
}

// listener makes what is heard count on this instance.
type listener struct {
	*Realm
	ctx context.Context // of the listening
}

// Heard implements authcore.Listener.
func (l listener) Heard(n authcore.Notice) {
	switch n.Kind {
	case authcore.NoticeSessionEnded:
		l.forget(n.Subject)
	case authcore.NoticeUserChanged:
		l.outdate(n.Subject)
	case authcore.NoticeKeysChanged:
		if err := l.readKeys(l.ctx, true); err != nil {
			l.Logger.Warn("new signing keys could not be read; trying again within a minute", "cause", err.Error())
		}
	}
}

// Missed implements authcore.Listener.
func (l listener) Missed() { l.State.mistrust(l.Now()) }

// Connected implements authcore.Listener.
func (l listener) Connected(is bool) {
	l.parts.hearing.Store(is)
	switch {
	case is:
		l.Logger.Debug("hearing the notices of other instances")
	case l.ctx.Err() == nil:
		l.Logger.Warn("not hearing other instances; what they end or change counts here only when access tokens expire")
	}
}

// forget makes the end of a session that the store knows of hold on this instance at once.
func (r *Realm) forget(id string) {
	if cut, userID := r.State.end(id, r.untilExpired()); cut > 0 && r.Traffic != nil {
		go r.tellEnded(userID, cut)
	}
}

// outdate makes what was changed of a user, here or elsewhere, count on this instance at once.
func (r *Realm) outdate(userID string) {
	r.State.outdate(userID, r.Now(), r.untilExpired())
}

// untilExpired is when every access token issued until now has expired, on clocks that go wrong too.
func (r *Realm) untilExpired() time.Time { return r.Now().Add(r.AccessToken + time.Minute) }

// endSessions ends sessions in the store and, once that is certain, on all instances.
func (r *Realm) endSessions(ctx context.Context, ids ...string) error {
	// What others are told comes before the end in the store or together with it: once a session is gone from there, who
	// tries to end it again finds nothing to end, and nobody would be told.
	if short := r.Challenges.Notices; short != nil {
		for _, id := range ids {
			if err := short.Notify(ctx, sessionEnded(id)); err != nil {
				return err
			}
		}
	}
	for _, id := range ids {
		if err := r.endStored(ctx, id); err != nil {
			return err
		}
		r.forget(id)
	}
	return nil
}

// haveEnded makes the end of sessions of a user hold on all instances that the store knows of already.
func (r *Realm) haveEnded(ctx context.Context, userID string, ids []string) {
	for _, id := range ids {
		r.forget(id)
	}
	if n := r.notices(); n != nil {
		r.tellLate(ctx, n, noticesOfEnd(userID, ids))
	}
}

func (r *Realm) endStored(ctx context.Context, id string) error {
	if r.Challenges.Notices != nil || r.Stores.Notices == nil {
		return r.sessions.End(ctx, id)
	}
	return r.Stores.Transactions.Transact(ctx, func(tx authcore.Stores) error {
		if err := tx.Sessions.EndSession(ctx, id); err != nil || tx.Notices == nil {
			return err
		}
		return tx.Notices.Notify(ctx, sessionEnded(id))
	})
}

// tellTimeout bounds how long other instances are told of what is done already.
const tellTimeout = 5 * time.Second

// telling answers a context in which to tell others of what is done already: a client that hangs up keeps it from nobody.
func telling(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
}

func sessionEnded(id string) authcore.Notice {
	return authcore.Notice{Kind: authcore.NoticeSessionEnded, Subject: id}
}

// noticesOfEnd answers by what other instances learn that sessions of a user have ended. Of more than a user has by now, one
// notice says it: that what is cached of the user is not so any more has each session looked up where it is used next, while
// ten thousands of notices would not be written in the time that there is.
func noticesOfEnd(userID string, ids []string) []authcore.Notice {
	if len(ids) > authcore.MostSessions {
		return []authcore.Notice{userChanged(userID)}
	}
	all := make([]authcore.Notice, len(ids))
	for i, id := range ids {
		all[i] = sessionEnded(id)
	}
	return all
}

func userChanged(id string) authcore.Notice {
	return authcore.Notice{Kind: authcore.NoticeUserChanged, Subject: id}
}

// tellLate tells other instances of what is done already. Where they cannot be told now, it holds there once access tokens
// have expired.
func (r *Realm) tellLate(ctx context.Context, to authcore.Notices, all []authcore.Notice) {
	ctx, cancel := telling(ctx)
	defer cancel()
	for _, n := range all {
		if err := to.Notify(ctx, n); err != nil {
			r.Logger.WarnContext(ctx, "other instances not told of ended sessions; they end there when access tokens expire", "cause", err.Error())
			return
		}
	}
}

// changed makes a change of a user that is in the store hold on all instances. Where others cannot be told now, it holds
// there once their access tokens have expired; the change itself is made, so that is no reason to tell who made it to
// try again.
func (r *Realm) changed(ctx context.Context, userID string) {
	r.outdate(userID)
	r.tellChanged(ctx, userID)
}

func (r *Realm) tellChanged(ctx context.Context, userID string) {
	n := r.notices()
	if n == nil {
		return
	}
	ctx, cancel := telling(ctx)
	defer cancel()
	if err := n.Notify(ctx, userChanged(userID)); err != nil {
		r.Logger.WarnContext(ctx, "other instances not told of a changed user; it counts there when access tokens expire", "cause", err.Error())
	}
}
