package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/token"
)

// carrier is what a request presented to say who it is, good or not.
type carrier int

const (
	byNothing carrier = iota
	byCookie
	byBearer
	byToken // a personal access token, as a bearer token or in X-API-Key
	byBasic // one as the password of HTTP Basic
)

// visitor is what is known of who sent a request.
type visitor struct {
	identity *authcore.Identity // nil: signed out
	via      carrier
	secret   string // of the cookie, where one was presented, good or not
	err      error  // why it could not be told who this is; else nil
	refused  bool   // what stands in Authorization is of this gateway, and not good here and now
	device   string // the value of the device cookie; set for the gateway's own routes only
	formKey  string // the value of the form cookie; likewise
	bond     string // the value of the bond cookie; likewise
	bounced  string // the value of bouncedCookie
	tried    string // whose account somebody tried to sign in to, where that is known; for the audit log
	typed    string // which account that is in the words of who tried; for telling tries apart, and to be told nobody

	ticket    *ticket         // of the identity
	setCookie string          // the cookie was renewed
	invite    string          // the key of the invite that came with the answer to a challenge
	method    authcore.Method // that the answer to a challenge is of, where the route does not say it alone

	refusedKey bool // as refused, of what stands in X-API-Key
	barred     bool // a personal access token was good, and is not taken on this route
}

// withhold removes what is of this gateway from the headers, good or not: it may be good on another instance still, or once
// the store answers, and is not for a backend to keep.
func (v *visitor) withhold(h http.Header) {
	if v.refused {
		delete(h, "Authorization")
	}
	if v.refusedKey {
		delete(h, keyHeader)
	}
}

// ticket is an access token that was verified, with all that follows from it.
type ticket struct {
	identity  *authcore.Identity
	issued    time.Time
	expires   time.Time
	doubt     int64 // of the state when it was verified
	change    int64 // of its user, as of when the user was read, see State.lastChange; 0 of an access token, which does not tell
	headers   []headerValue
	personal  *personal                 // of a personal access token; else nil
	assertion atomic.Pointer[assertion] // for the origin
	others    assertions                // for the other hosts
}

// ticketCache remembers verified access tokens and renewed cookies, bounded and in memory only.
type ticketCache struct {
	verified *otter.Cache[string, *ticket]  // by access token
	renewed  *otter.Cache[string, *renewal] // by cookie secret
	// By personal access token, apart from the access tokens: one must not be taken for the other in a cookie.
	personal *otter.Cache[string, *ticket]
	flights  singleflight.Group
}

type renewal struct {
	ticket    *ticket
	setCookie string
}

// Sizes are in entries; one takes about two kilobytes when its token is small.
const (
	maxVerified = 32768
	maxRenewed  = 16384
	maxPersonal = 16384
)

func newTicketCache() *ticketCache {
	return &ticketCache{
		verified: otter.Must(&otter.Options[string, *ticket]{MaximumSize: maxVerified}),
		renewed:  otter.Must(&otter.Options[string, *renewal]{MaximumSize: maxRenewed}),
		personal: otter.Must(&otter.Options[string, *ticket]{MaximumSize: maxPersonal}),
	}
}

// identify says who sent the request. The cookie has been taken out of it before; an access token that is accepted is
// taken out here. A bearer token decides alone: a program that sends one means it, and a cookie beside it must not lend
// it more.
func (g *Gateway) identify(r *http.Request, now time.Time, cookie string) visitor {
	if in := findPersonal(r.Header); in.via != byNothing {
		return g.identifyPersonal(r, now, in)
	}
	if tok, present := bearerToken(r.Header); present {
		v := visitor{via: byBearer}
		t, err := g.verify(r.Context(), tok, now)
		switch {
		case err == nil:
			v.ticket, v.identity = t, t.identity
			delete(r.Header, "Authorization")
		case errors.Is(err, authcore.ErrUnavailable):
			v.err, v.refused = err, true
		case !errors.Is(err, token.ErrInvalid):
			v.refused = true
		}
		return v
	}
	if cookie == "" {
		return visitor{}
	}
	secret, access, _ := strings.Cut(cookie, ".")
	if _, ok := g.realm.sessions.SessionID(secret); !ok {
		return visitor{} // malformed, as if there were none
	}
	v := visitor{via: byCookie, secret: secret}
	t, err := g.verify(r.Context(), access, now)
	if err != nil || g.realm.State.lacks(t.identity) {
		// Expired, or signed with a key that is gone, or left out for its size, or of before a step-up: the secret decides.
		renewed, setCookie, failed := g.renew(r.Context(), secret, now)
		if err != nil || !errors.Is(failed, authcore.ErrUnavailable) {
			t, v.setCookie, err = renewed, setCookie, failed
		}
	}
	switch {
	case err == nil:
		v.ticket, v.identity = t, t.identity
	case errors.Is(err, authcore.ErrSessionNotFound):
	default:
		v.err = err
	}
	return v
}

// bearerToken answers the token of an Authorization header of scheme Bearer (RFC 6750 section 2.1). Where one is among
// several Authorization headers, none is to be believed.
func bearerToken(h http.Header) (tok string, present bool) {
	lines := h["Authorization"]
	for _, l := range lines {
		const scheme = "bearer "
		if len(l) >= len(scheme) && strings.EqualFold(l[:len(scheme)], scheme) {
			present, tok = true, strings.Trim(l[len(scheme):], " ")
		}
	}
	if len(lines) > 1 {
		tok = ""
	}
	return tok, present
}

// verify answers the ticket for an access token: from memory where the token was seen before.
func (g *Gateway) verify(ctx context.Context, tok string, now time.Time) (*ticket, error) {
	doubt := g.realm.State.doubt.Load()
	t, ok := g.tickets.verified.GetIfPresent(tok)
	if !ok || t.doubt != doubt {
		v, err := g.realm.issuer.VerifyAccess(ctx, tok, g.audience)
		if err != nil {
			return nil, err
		}
		if g.realm.State.predates(v.Issued) {
			// A sign-out that was acknowledged holds after a crash, too: the store knows of it, this process does not.
			if err := g.realm.live(ctx, v.Identity.SessionID, now); err != nil {
				return nil, err
			}
		}
		t = g.newTicket(v.Identity, v.Issued, v.Expires, doubt)
		// The token is a part of a header; keep no more than that part.
		g.tickets.verified.Set(strings.Clone(tok), t)
	}
	if _, unsure := g.realm.State.outdates(t); unsure {
		var err error
		if t, err = g.reread(ctx, t, now); err != nil {
			return nil, err
		}
		g.tickets.verified.Set(strings.Clone(tok), t)
	}
	if err := g.good(t, now); err != nil {
		return nil, err
	}
	return t, nil
}

// reread answers a ticket that tells what the store does, for one that may be of before the last change of its user.
func (g *Gateway) reread(ctx context.Context, t *ticket, now time.Time) (*ticket, error) {
	change := g.realm.State.lastChange(t.identity.Subject)
	id, err := g.realm.present(ctx, t.identity.SessionID, now)
	if err != nil {
		return nil, err
	}
	t = g.newTicket(id, t.issued, t.expires, t.doubt)
	t.change = change
	return t, nil
}

func (g *Gateway) newTicket(id *authcore.Identity, issued, expires time.Time, doubt int64) *ticket {
	return &ticket{identity: id, issued: issued, expires: expires, doubt: doubt, headers: g.headers.fill(id)}
}

// good reports whether what a ticket says still holds.
func (g *Gateway) good(t *ticket, now time.Time) error {
	outdated, _ := g.realm.State.outdates(t)
	switch {
	case !now.Before(t.expires), outdated:
		return token.ErrExpired
	case t.personal != nil && t.change != g.realm.State.lastChange(t.identity.Subject):
		return token.ErrExpired
	case g.realm.State.isEnded(t.identity.SessionID):
		return authcore.ErrSessionNotFound
	}
	return nil
}

// renewTimeout bounds the work of a renewal, which is done for all requests that wait for it.
const renewTimeout = 5 * time.Second

// renew resumes the session of a cookie and gives it a new access token. Of many requests with the same cookie one does
// the work; those that come later with the old cookie, sent before the answer arrived, get the same new one.
func (g *Gateway) renew(ctx context.Context, secret string, now time.Time) (*ticket, string, error) {
	doubt := g.realm.State.doubt.Load()
	if r, ok := g.tickets.renewed.GetIfPresent(secret); ok && r.ticket.doubt == doubt && g.good(r.ticket, now) == nil && !g.realm.State.lacks(r.ticket.identity) {
		return r.ticket, r.setCookie, nil
	}
	var r *renewal
	err := token.ErrExpired
	for n := 0; n < 2 && errors.Is(err, token.ErrExpired); n++ { // its user was changed meanwhile: what is read then knows of that
		if r, err = g.resume(ctx, secret, now, doubt); err == nil {
			err = g.good(r.ticket, now)
		}
	}
	if err != nil {
		return nil, "", err
	}
	return r.ticket, r.setCookie, nil
}

// resume does the work of a renewal: of many requests with the same cookie one does, so that it may be of before this one.
func (g *Gateway) resume(ctx context.Context, secret string, now time.Time, doubt int64) (*renewal, error) {
	done, err, _ := g.tickets.flights.Do(secret, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTimeout)
		defer cancel()
		s, err := g.realm.sessions.Resume(ctx, secret)
		if err != nil {
			return nil, err
		}
		if !g.mayUse(s) || g.realm.State.isEnded(s.ID) {
			return nil, authcore.ErrSessionNotFound
		}
		if err := g.realm.recheck(ctx, s); err != nil {
			return nil, err
		}
		if err := g.realm.keepHome(ctx, s); err != nil {
			return nil, err
		}
		// Before the account is read, as in access.
		issued, change := later(now, g.realm.State.outdatedUntil(s.UserID)), g.realm.State.lastChange(s.UserID)
		id, access, expires, err := g.access(ctx, s)
		if err != nil {
			return nil, err
		}
		t := g.newTicket(id, issued, expires, doubt)
		t.change = change
		r := &renewal{t, g.cookie.set(secret, access, s.IdleUntil.Sub(now))}
		secret := strings.Clone(secret)
		g.tickets.verified.Set(access, t)
		g.tickets.renewed.Set(secret, r)
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return done.(*renewal), nil
}

// mayUse reports whether a session may be used on this site: it was opened here, or on a site that shares the cookie with
// this one. Cookies know no ports, so that this has to be asked even of a cookie of this host.
func (g *Gateway) mayUse(s authcore.Session) bool { return s.Origin == g.home() }
