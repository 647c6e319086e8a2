package gateway

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
	"github.com/caddy-authgate/authgate/authcore/session"
)

// leave is GET sign-in of a site that has its sign-in elsewhere: it sends the browser there. Who is signed in is sent only
// where the place they want to go to asks for more.
func (g *Gateway) leave(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if v.err != nil {
		return v.err
	}
	to := g.safeReturn(r.URL.Query().Get("return_to"))
	if !g.origin.isHost(r.Host) {
		g.lead(w, g.origin.text+g.site.Path+"/sign-in?return_to="+url.QueryEscape(to)) // the bond is of one host
		return nil
	}
	asked := handOff{again: r.URL.Query().Has("again")}
	if v.identity != nil {
		d := g.judgeReturn(r, to, v.identity)
		if d.Verdict != policy.StepUp {
			g.lead(w, to)
			return nil
		}
		asked.with, asked.within = d.With, d.Within
	}
	return g.sendHome(w, v, to, asked)
}

// confirmAtHome sends whom the page to confirm on would ask to confirm at home, from where they come back to it with that.
func (g *Gateway) confirmAtHome(proven serve) serve {
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		if v.err != nil || v.identity == nil {
			return proven(w, r, v)
		}
		about := g.readConfirmation(r.URL.Query())
		if about.form != "" && !g.keeps(v, about.form, about.returnTo) {
			about.form, about.lost = "", lostGone
		}
		asked := handOff{with: about.With, within: time.Duration(about.Within) * time.Second, lost: about.lost, again: true}
		if policy.Proven(v.identity, asked.with, asked.within, g.realm.Now()) {
			if about.form != "" || about.lost != "" {
				return proven(w, r, v) // it sends the form on, or tells that it is lost
			}
			g.lead(w, about.returnTo)
			return nil
		}
		return g.sendHome(w, v, g.site.Path+"/"+about.String(), asked)
	}
}

// judgeReturn has the rules judge a navigation to a place on this site.
func (g *Gateway) judgeReturn(r *http.Request, to string, id *authcore.Identity) policy.Decision {
	u, err := url.Parse(to)
	if err != nil {
		return policy.Decision{Rule: -1}
	}
	return g.policy.Judge(policy.Request{Method: http.MethodGet, Path: u.EscapedPath(), Client: g.realm.ClientIP(r), Identity: id, Now: g.realm.Now()})
}

// sendHome gives the browser a bond and sends it to ask for a hand-off that leads back to a place on this site.
func (g *Gateway) sendHome(w http.ResponseWriter, v *visitor, to string, asked handOff) error {
	home, err := g.homeOf()
	if err != nil {
		return err
	}
	bond := v.bond
	if !isBond(bond) { // else several tabs are on their way, and each is to arrive
		secret, err := g.realm.random(32)
		if err != nil {
			return err
		}
		bond = base64.RawURLEncoding.EncodeToString(secret)
	}
	w.Header().Add("Set-Cookie", g.cookie.setBond(bond))
	asked.to, asked.bond, asked.back = g.origin.text, hashBond(bond), base64.RawURLEncoding.EncodeToString([]byte(to))
	g.lead(w, home.origin.text+home.site.Path+"/"+handOffRoute+"?"+asked.query())
	return nil
}

// takeOver is GET hand-off of a site that has its sign-in elsewhere: a browser comes back from there.
func (g *Gateway) takeOver(w http.ResponseWriter, r *http.Request, v *visitor) error {
	q, to := r.URL.Query(), g.wanted(r)
	var err error
	if code := q.Get("code"); code != "" {
		err = g.spend(w, r, v, code, to)
	} else if err = v.err; err == nil && v.identity == nil {
		err = errNoHandOff.because(errors.New("gateway: hand-off: no code, and the cookie of the session did not come"))
	}
	if err == nil {
		g.lead(w, to)
		return nil
	}
	e := asError(err)
	if e.Code != errNoHandOff.Code {
		return err
	}
	g.realm.Logger.LogAttrs(r.Context(), slog.LevelWarn, "sign-in not taken over", slog.String("client", g.realm.ClientIP(r).String()), slog.Any("cause", e.Err))
	switch {
	case q.Has("again"):
		return err
	case v.identity != nil && v.via == byCookie:
		g.lead(w, to) // another tab was faster; nothing has changed
	default:
		g.lead(w, g.site.Path+"/sign-in?return_to="+url.QueryEscape(to)+"&again")
	}
	return nil
}

// spend spends a code, and signs the browser in here as who it was issued for; to is where it goes then.
func (g *Gateway) spend(w http.ResponseWriter, r *http.Request, v *visitor, code, to string) error {
	ctx := r.Context()
	from, err := g.redeem(ctx, code, v.bond)
	switch {
	case errors.Is(err, authcore.ErrUnavailable):
		return err
	case errors.Is(err, authcore.ErrChallengeNotFound), errors.Is(err, authcore.ErrChallengeExpired), errors.Is(err, authcore.ErrSessionNotFound):
		return errNoHandOff.because(err)
	case err != nil:
		return err
	}
	// By the place, too: a browser that opens all its tabs of this site at once comes here as often without going in circles.
	if v.identity == nil && g.turns.again(from.ID+" "+to, g.realm.Now()) {
		return errLooped(g.loopReason(r, v)) // signed in there, taken over here, and sent there again
	}
	s, secret, err := g.sessionFrom(r, v, from)
	if errors.Is(err, authcore.ErrSessionNotFound) || errors.Is(err, authcore.ErrUserNotFound) {
		return errNoHandOff.because(err)
	} else if err != nil {
		return err
	}
	_, access, _, err := g.access(ctx, s)
	if err != nil {
		if secret != "" { // nobody will ever hold it
			_ = g.realm.endSession(context.WithoutCancel(ctx), sessionEnd{authcore.EventSessionEnded, "refused", g.trace(r, v)}, s.ID)
		}
		if errors.Is(err, authcore.ErrSessionNotFound) {
			err = errNoHandOff.because(err)
		}
		return err
	}
	if secret == "" {
		secret = v.secret
	} else {
		g.endReplaced(r, v)
	}
	replaceCookie(w.Header(), g.newCookie(s, secret, access))
	w.Header().Add("Set-Cookie", g.cookie.clearBond())
	return nil
}

// redeem spends a code, and answers the session at home that it was issued for. It is spent whatever comes of it.
func (g *Gateway) redeem(ctx context.Context, code, bond string) (from authcore.Session, err error) {
	home, err := g.homeOf()
	if err != nil {
		return from, err
	}
	c, err := g.realm.Challenges.Challenges.ConsumeChallenge(ctx, authcore.HashSecret(code), authcore.Binding{
		Purpose: authcore.PurposeHandOff, Origin: g.origin.text,
	}, g.realm.Now())
	if err != nil {
		return from, fmt.Errorf("gateway: hand-off: %w", err)
	}
	var kept handedOff
	if err := json.Unmarshal(c.Data, &kept); err != nil {
		return from, fmt.Errorf("gateway: hand-off: %w: %w", authcore.ErrChallengeNotFound, err)
	}
	// Whoever planted the code in this browser, or took it from another one, does not have the bond that it was issued for.
	if subtle.ConstantTimeCompare([]byte(hashBond(bond)), []byte(kept.Bond)) != 1 || bond == "" {
		return from, fmt.Errorf("gateway: hand-off: begun in another browser: %w", authcore.ErrChallengeNotFound)
	}
	from, err = g.realm.Stores.Sessions.Session(ctx, kept.Session)
	if err == nil && (!from.Live(g.realm.Now()) || !home.mayUse(from)) {
		err = authcore.ErrSessionNotFound
	}
	return from, err
}

// sessionFrom answers the session here that is handed over from one at home, and its secret where it is a new one: where the
// browser has one from there already, what was proven there since counts in that. Whoever planted the cookie of another one
// (session fixation) holds nothing.
func (g *Gateway) sessionFrom(r *http.Request, v *visitor, from authcore.Session) (s authcore.Session, secret string, err error) {
	ctx, by := r.Context(), g.trace(r, v)
	var own string
	var over []string
	if v.via == byCookie && v.identity != nil {
		if old, err := g.realm.Stores.Sessions.Session(ctx, v.identity.SessionID); err == nil && old.UserID == from.UserID && old.From() == from.ID && g.mayUse(old) {
			own = old.ID
		}
	}
	err = g.realm.Stores.Transactions.Transact(ctx, func(tx authcore.Stores) error {
		sessions := g.realm.sessions.In(tx.Sessions)
		// It holds the one at home: an end of that comes before this, and there is nothing to hand over, or finds this one too.
		kept, err := sessions.Keep(ctx, from.ID)
		if err != nil {
			return err
		}
		if own != "" {
			s, err = sessions.Adopt(ctx, own, kept)
			return err
		}
		s, secret, over, err = g.realm.openWithin(ctx, tx, session.Opening{
			UserID: kept.UserID, Origin: g.home(), From: kept, Cookie: true, ClientIP: by.Client, UserAgent: by.UserAgent,
		}, by, "handed over by "+g.signInAt.text)
		return err
	})
	if err == nil {
		g.realm.outlived(ctx, from.UserID, over)
	}
	if err == nil && own != "" {
		g.realm.State.steppedUp(s, g.realm.untilExpired())
	}
	return s, secret, err
}

func latest(uses []authcore.MethodUse) authcore.Method {
	return slices.MaxFunc(uses, func(a, b authcore.MethodUse) int { return a.Time.Compare(b.Time) }).Method
}

// keepHome keeps alive what a session was handed over from, which is used through it, and answers
// authcore.ErrSessionNotFound where that has ended: this one has, too, then.
func (r *Realm) keepHome(ctx context.Context, s authcore.Session) error {
	for id := s.From(); id != ""; {
		kept, err := r.sessions.Keep(ctx, id)
		if errors.Is(err, authcore.ErrSessionNotFound) {
			if err := r.endSession(ctx, sessionEnd{kind: authcore.EventSessionEnded, code: "ended_at_home"}, s.ID); err != nil {
				return err
			}
			return fmt.Errorf("gateway: handed over from a session that has ended: %w", authcore.ErrSessionNotFound)
		}
		if err != nil {
			return err
		}
		id = kept.From() // a site that is handed over to may share its cookie with one that hands over to others
	}
	return nil
}

// handedOverFrom answers the ids of the sessions of a user that were handed over from one of these.
func (r *Realm) handedOverFrom(ctx context.Context, sessions authcore.Sessions, userID string, from []string) ([]string, error) {
	all, err := sessions.SessionsOf(ctx, userID, r.Now())
	is := make(map[string]bool, len(from)) // one has handed over ten thousands, where they were not bounded yet
	for _, id := range from {
		is[id] = true
	}
	var ids []string
	for _, s := range all {
		if is[s.From()] {
			ids = append(ids, s.ID)
		}
	}
	return ids, err
}

// endWithin ends a session with all that were handed over from it, and from these, and answers which. Each ends before those
// from it are looked for, so that in a transaction nothing is handed over from it meanwhile.
func (r *Realm) endWithin(ctx context.Context, sessions authcore.Sessions, s authcore.Session) (ended []string, err error) {
	for next := []string{s.ID}; len(next) > 0; {
		if err := sessions.EndSession(ctx, next...); err != nil {
			return nil, err
		}
		ended = append(ended, next...)
		if !s.Cookie {
			break // programs are not handed over
		}
		if next, err = r.handedOverFrom(ctx, sessions, s.UserID, next); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// signInOf answers the session to end where somebody signs out of one: that at home, whatever it was handed over to. Who
// signs out at one site means to be signed out, and would be signed in again there without being asked.
func (r *Realm) signInOf(ctx context.Context, id string) (at string, err error) {
	for {
		s, err := r.Stores.Sessions.Session(ctx, id)
		switch {
		case errors.Is(err, authcore.ErrSessionNotFound), err == nil && s.From() == "":
			return at, nil
		case err != nil:
			return "", err
		}
		at, id = s.From(), s.From()
	}
}
