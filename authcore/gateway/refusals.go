package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/password"
)

// What a flood of refused sign-ins may write into the audit log, on one instance in one minute. The first refusal of a kind
// is an event at once; further ones of it, from the same client and about the same account, are counted and become one more
// event when the minute is over. What is beyond these bounds is counted together.
const (
	refusalWindow     = time.Minute
	refusalsPerClient = 10
	refusalsInAll     = 300
)

// refusalKey is what makes refusals of one kind.
type refusalKey struct {
	client string // as clients are counted, see clientKey
	method authcore.Method
	code   string
	typed  [32]byte // which account, in the words of who tried, hashed: as much is written for one that nobody has
}

// refusal is the first refusal of a kind, and how many followed.
type refusal struct {
	subject string
	by      authcore.Trace
	more    int
}

// refusals is what was refused in this minute.
type refusals struct {
	mu     sync.Mutex
	began  time.Time
	kinds  map[refusalKey]*refusal
	client map[string]int // kinds
	beyond int
}

// count counts a refusal and reports whether it is to be written now. past is what is left to write of a minute that is over.
func (r *refusals) count(key refusalKey, one refusal, now time.Time) (write bool, past *refusals) {
	r.mu.Lock()
	defer r.mu.Unlock()
	past = r.over(now)
	switch first := r.kinds[key]; {
	case first != nil:
		first.more++
		return false, past
	case len(r.kinds) >= refusalsInAll || r.client[key.client] >= refusalsPerClient:
		r.beyond++
		return false, past
	}
	if r.kinds == nil {
		r.began, r.kinds, r.client = now, map[refusalKey]*refusal{}, map[string]int{}
	}
	r.kinds[key] = &one
	r.client[key.client]++
	return true, past
}

// over answers what was counted in a minute that is over, and begins another one; nil where there is none.
func (r *refusals) over(now time.Time) *refusals {
	if r.kinds == nil || now.Sub(r.began) < refusalWindow && !now.Before(r.began) {
		return nil
	}
	past := &refusals{kinds: r.kinds, beyond: r.beyond}
	r.kinds, r.client, r.beyond = nil, nil, 0
	return past
}

// noteRefusal writes a refused sign-in into the audit log, or counts it. That it cannot be written now changes nothing of the
// refusal; it is in the log of the process in any case.
func (g *Gateway) noteRefusal(r *http.Request, v *visitor, m authcore.Method, e *Error) {
	code := e.Code
	if errors.Is(e, password.ErrSuspended) {
		code = "suspended"
	}
	one := refusal{subject: v.tried, by: g.trace(r, v)}
	if one.subject == "" {
		one.subject = v.subject()
	}
	key := refusalKey{client: clientKey(g.realm.ClientIP(r)), method: m, code: code, typed: sha256.Sum256([]byte(v.typed))}
	write, past := g.realm.refused.count(key, one, g.realm.Now())
	ctx, cancel := telling(r.Context())
	defer cancel()
	g.realm.writeRefusals(ctx, past)
	if write {
		g.realm.writeRefusal(ctx, code, one, string(m))
	}
}

// writeRefusals writes what was counted in a minute that is over.
func (r *Realm) writeRefusals(ctx context.Context, past *refusals) {
	if past == nil {
		return
	}
	for key, one := range past.kinds {
		if one.more > 0 {
			r.writeRefusal(ctx, key.code, *one, fmt.Sprintf("%s, %d more within a minute", key.method, one.more))
		}
	}
	if past.beyond > 0 {
		r.writeRefusal(ctx, "many", refusal{}, fmt.Sprintf("%d more within a minute", past.beyond))
	}
}

func (r *Realm) writeRefusal(ctx context.Context, code string, one refusal, detail string) {
	err := r.note(ctx, r.Stores, authcore.EventSignInRefused, code, one.subject, one.by, detail)
	if err != nil {
		r.Logger.LogAttrs(ctx, slog.LevelWarn, "a refused sign-in is not in the audit log", slog.String("code", code), slog.String("cause", err.Error()))
	}
}

// flushRefusals writes what is counted of refusals whose minute is over, or of all.
func (r *Realm) flushRefusals(ctx context.Context, all bool) {
	now := r.Now()
	if all {
		now = now.Add(refusalWindow)
	}
	r.refused.mu.Lock()
	past := r.refused.over(now)
	r.refused.mu.Unlock()
	r.writeRefusals(ctx, past)
}
