package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// handedOff is what home keeps of a hand-off.
type handedOff struct {
	Session string `json:"session"` // that is handed over
	Bond    string `json:"bond"`    // hash of it
}

// handOff is GET hand-off at home: it sends a browser back to the site that sent it, with a code where a code is needed.
func (g *Gateway) handOff(w http.ResponseWriter, r *http.Request, v *visitor) error {
	asked, err := parseHandOff(r.URL.RawQuery)
	if err != nil {
		return err
	}
	// To no other origin than one that has its sign-in here: this is no open redirect, and a code is for that site alone.
	site := g.comer(asked.to)
	switch {
	case site == nil:
		return errNoHandOff.because(errors.New("gateway: hand-off: no site of this origin has its sign-in here"))
	case !g.isNavigation(r):
		return errNoHandOff.because(errors.New("gateway: hand-off: not by a navigation"))
	case v.err != nil:
		return v.err
	}
	s, id, err := g.atHome(r.Context(), v)
	switch {
	case errors.Is(err, authcore.ErrSessionNotFound):
		g.lead(w, g.site.Path+"/sign-in?return_to="+url.QueryEscape(g.handOffPath(asked)))
		return nil
	case err != nil:
		return err
	case !policy.Proven(id, asked.with, asked.evenFresher(), g.realm.Now()):
		g.lead(w, g.confirmAt(asked))
		return nil
	}
	to := site.origin.text + site.site.Path + "/" + handOffRoute + "?"
	if site.home() != g.home() {
		// Each makes a session and an event at the site, which the rate limit of sign-ins does not see.
		if err := g.countOf(w, r, "hand-off ", s.UserID, handOffsPerUser, handOffWindow); err != nil {
			return err
		}
		code, err := g.issueCode(r.Context(), site, s, asked.bond)
		if err != nil {
			return err
		}
		to += "code=" + code + "&"
	} // else below one cookie domain, where the cookie of the session is the site's already
	to += "back=" + asked.back
	if asked.again {
		to += "&again"
	}
	g.lead(w, to)
	return nil
}

// comer answers the site with this origin that has its sign-in here, nil where there is none.
func (g *Gateway) comer(from string) *Gateway {
	for _, site := range g.comers() {
		if site.origin.text == from {
			return site
		}
	}
	return nil
}

// handOffPath is where somebody goes on with a hand-off who has signed in, or confirmed it.
func (g *Gateway) handOffPath(asked handOff) string {
	return g.site.Path + "/" + handOffRoute + "?" + asked.query()
}

// confirmAt is where somebody confirms a sign-in with what is asked for, and then goes on.
func (g *Gateway) confirmAt(asked handOff) string {
	about := confirmation{returnTo: g.handOffPath(asked), evidence: newEvidence(asked.with, asked.evenFresher()), lost: asked.lost}
	return g.site.Path + "/" + about.String()
}

// isHandOff reports whether a place to go on at is a hand-off from here, and of which site.
func (g *Gateway) isHandOff(target string) (site *Gateway, is bool) {
	query, is := strings.CutPrefix(target, g.site.Path+"/"+handOffRoute+"?")
	if !is || g.away() {
		return nil, false
	}
	asked, err := parseHandOff(query)
	if err != nil {
		return nil, false
	}
	site = g.comer(asked.to)
	return site, site != nil
}

// atHome answers the session that a browser has here, and who that is, as the store says at this moment. It is
// authcore.ErrSessionNotFound where it has none.
func (g *Gateway) atHome(ctx context.Context, v *visitor) (s authcore.Session, id *authcore.Identity, err error) {
	if v.via != byCookie || v.identity == nil {
		return s, nil, authcore.ErrSessionNotFound
	}
	if s, err = g.realm.Stores.Sessions.Session(ctx, v.identity.SessionID); err == nil && (!s.Live(g.realm.Now()) || !g.mayUse(s)) {
		err = authcore.ErrSessionNotFound
	}
	if err == nil {
		err = g.realm.recheck(ctx, s)
	}
	if err == nil {
		id, err = g.realm.identityOf(ctx, s)
	}
	if errors.Is(err, authcore.ErrSessionNotFound) {
		g.realm.forget(v.identity.SessionID) // else the sign-in page would take them for signed in, and they came back here
	}
	return s, id, err
}

// issueCode keeps a hand-off, and answers the code to spend it by.
func (g *Gateway) issueCode(ctx context.Context, site *Gateway, s authcore.Session, bond string) (string, error) {
	secret, err := g.realm.random(32)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(handedOff{s.ID, bond})
	if err != nil {
		return "", err
	}
	code, now := base64.RawURLEncoding.EncodeToString(secret), g.realm.Now()
	return code, g.realm.Challenges.Challenges.CreateChallenge(ctx, authcore.Challenge{
		ID:      authcore.HashSecret(code),
		Binding: authcore.Binding{Purpose: authcore.PurposeHandOff, Origin: site.origin.text},
		Client:  "user " + s.UserID, // many come from one address, and each is known here
		Data:    data,
		Expires: now.Add(handOffTTL),
	}, now)
}
