package gateway

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore"
)

// note writes what happens into the audit log, as part of the transaction in which it happens.
func (r *Realm) note(ctx context.Context, s authcore.Stores, kind authcore.EventKind, code, subject string, by authcore.Trace, detail string) error {
	e, err := authcore.NewEvent(r.Rand, r.Now(), kind, code, subject, by, detail)
	if err != nil || s.Events == nil {
		return err
	}
	return s.Events.AddEvent(ctx, e)
}
