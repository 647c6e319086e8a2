package gateway

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/session"
)

// openWithin opens a session as part of a transaction, with its event. Where the user then has too many, those used longest
// ago end, and it answers which. A session that others were handed over from is kept alive by each use of them, so that it is
// seldom among these without them; where it is, they end at their next renewal.
func (r *Realm) openWithin(ctx context.Context, tx authcore.Stores, o session.Opening, by authcore.Trace, detail string) (s authcore.Session, secret string, ended []string, err error) {
	if s, secret, err = r.sessions.In(tx.Sessions).Open(ctx, o); err != nil {
		return s, "", nil, err
	}
	by.Actor, by.SessionID = s.UserID, s.ID
	if err = r.note(ctx, tx, authcore.EventSignIn, string(latest(s.Methods)), s.UserID, by, detail); err != nil {
		return s, "", nil, err
	}
	ended, err = tx.Sessions.EndSessionsOf(ctx, s.UserID, s.ID, authcore.MostSessions-1, r.Now())
	if err != nil || len(ended) == 0 {
		return s, secret, nil, err
	}
	if err = r.note(ctx, tx, authcore.EventSessionEnded, "too_many", s.UserID, by, nameSessions(ended)); err != nil {
		return s, "", nil, err
	}
	return s, secret, ended, r.tellWithin(ctx, tx, noticesOfEnd(s.UserID, ended))
}

// thin ends the sessions of a user that are more than one has by now, but for one. It goes before a transaction that ends them
// all: an account of before there was a bound may have more than can end in the time that a transaction has.
func (r *Realm) thin(ctx context.Context, userID, but string) error {
	ended, err := r.Stores.Sessions.EndSessionsOf(ctx, userID, but, authcore.MostSessions, r.Now())
	if len(ended) > 0 {
		r.haveEnded(ctx, userID, ended)
	}
	return err
}

// outlived makes the end of sessions that a transaction of openWithin has ended hold on all instances.
func (r *Realm) outlived(ctx context.Context, userID string, ended []string) {
	for _, id := range ended {
		r.forget(id)
	}
	if short := r.Challenges.Notices; short != nil {
		r.tellLate(ctx, short, noticesOfEnd(userID, ended))
	}
}
