package gateway

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// Confirm is what the page to confirm on is filled with. Its Page has those methods that are offered, are asked for and
// that the account has.
type Confirm struct {
	With   []authcore.Method // one of these is asked for; none: any
	Within time.Duration     // and no longer ago than this; 0: at any time in this session
	Proven bool              // it was given already
	// Lacking are the methods of With that could be added to the account here, where it has none of With; Absent is whether
	// it has none that this site offers.
	Lacking []authcore.Method
	Absent  bool
	Again   string // the path and query of the page itself
	Form    string // the id of what was sent and is kept meanwhile; empty: nothing
	Lost    string // why what was sent is not kept: "too_large", "unavailable" or "gone"; empty: nothing was sent
}

const confirmPage = "confirm"

// Why a form is not kept, in a word.
const (
	lostTooLarge    = "too_large"
	lostUnavailable = "unavailable"
	lostGone        = "gone"
)

// confirms reports whether a request that lacks evidence is of somebody who can be sent to give it.
func (g *Gateway) confirms(r *http.Request, v *visitor) bool {
	if g.site.Pages == nil || v.via != byCookie || v.identity == nil || !g.isNavigation(r) {
		return false
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return true
	}
	return false
}

// redirectToConfirm sends a person to confirm with what is asked for, from where they come back to what they asked for.
// What they sent is kept meanwhile, or the page is told that it is not.
func (g *Gateway) redirectToConfirm(w http.ResponseWriter, r *http.Request, v *visitor, asked *evidence, formKey string) {
	about := confirmation{returnTo: g.wayBack(r), evidence: *asked}
	status := http.StatusFound
	h := w.Header()
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
		id, setCookie, err := g.keepForm(w, r, v, formKey)
		switch {
		case err == nil:
			about.form = id
			h["Set-Cookie"] = append(h["Set-Cookie"], setCookie)
		case errors.Is(err, errTooLarge):
			about.lost = lostTooLarge
		default:
			about.lost = lostUnavailable
			g.realm.Logger.LogAttrs(r.Context(), slog.LevelWarn, "form not kept", slog.String("cause", err.Error()))
		}
	}
	if v.setCookie != "" {
		h["Set-Cookie"] = append(h["Set-Cookie"], v.setCookie)
	}
	to := g.site.Path + "/" + about.String()
	if !g.origin.isHost(r.Host) {
		to = g.origin.text + to // wallets and passkeys work on the origin only
	}
	h["Location"] = []string{to}
	h["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(status)
}

// confirmation is what the page to confirm on is asked by its address.
type confirmation struct {
	returnTo string
	evidence
	form, lost string
}

// String answers the page and its query.
func (c confirmation) String() string {
	var b strings.Builder
	b.WriteString(confirmPage + "?return_to=" + url.QueryEscape(c.returnTo))
	for i, m := range c.With {
		b.WriteString([]string{"&with=", ","}[min(i, 1)] + string(m))
	}
	if c.Within > 0 {
		b.WriteString("&within=" + strconv.FormatInt(c.Within, 10))
	}
	if c.form != "" {
		b.WriteString("&form=" + c.form)
	}
	if c.lost != "" {
		b.WriteString("&lost=" + c.lost)
	}
	return b.String()
}

// readConfirmation reads what somebody's address says. It decides nothing: whoever writes another one is asked for something
// else, and then judged as ever. What makes no sense is left out.
func (g *Gateway) readConfirmation(q url.Values) confirmation {
	c := confirmation{returnTo: g.safeReturn(q.Get("return_to")), form: q.Get("form"), lost: q.Get("lost")}
	if to, _, _ := strings.Cut(c.returnTo, "?"); strings.EqualFold(path.Clean(to), g.site.Path+"/"+confirmPage) {
		c.returnTo = "/" // not in circles
	}
	for _, m := range []authcore.Method{authcore.Passkey, authcore.Wallet, authcore.Password, authcore.ProgramKey} {
		if slices.Contains(strings.Split(q.Get("with"), ","), string(m)) {
			c.With = append(c.With, m)
		}
	}
	const longest = int64(10 * 365 * 24 * time.Hour / time.Second)
	if n, err := strconv.ParseInt(q.Get("within"), 10, 64); err == nil && n > 0 {
		c.Within = min(n, longest)
	}
	if c.form != "" && !isFormID(c.form) {
		c.form, c.lost = "", lostGone
	}
	if c.lost != "" && c.lost != lostTooLarge && c.lost != lostGone {
		c.lost = lostUnavailable
	}
	return c
}

// showConfirm is GET confirm: the page on which somebody confirms with what is asked for. By it, who has done so sends on
// what was kept. It redirects nobody: were a rule to ask for more than the page knows of, that would go on in circles.
func (g *Gateway) showConfirm(w http.ResponseWriter, r *http.Request, v *visitor) error {
	switch {
	case v.err != nil:
		return v.err
	case v.identity == nil:
		return g.sendToSignIn(w, r, v)
	}
	asked := g.readConfirmation(r.URL.Query())
	within := time.Duration(asked.Within) * time.Second
	about := &Confirm{With: asked.With, Within: within, Lost: asked.lost}
	about.Proven = (len(asked.With) > 0 || within > 0) && policy.Proven(v.identity, asked.With, within, g.realm.Now())
	if asked.form != "" {
		if g.keeps(v, asked.form, asked.returnTo) {
			about.Form = asked.form
		} else {
			about.Lost = lostGone
		}
	}
	p := g.page(confirmPage, http.StatusOK, v.identity)
	about.Again = g.safeReturn(g.site.Path + "/" + asked.String())
	p.ReturnTo, p.Confirm = asked.returnTo, about
	if about.Proven && about.Form != "" {
		// Browsers hold what answers a form to the policy of the page that sent it: a backend may redirect anywhere. Nothing
		// is entered on this page.
		w.Header()["Content-Security-Policy"] = []string{formPolicy}
	}
	g.chooseMethods(r, v, &p)
	return g.servePage(w, r, p)
}

// formPolicy is contentPolicy of a page that sends a form on.
var formPolicy = strings.Replace(contentPolicy, "form-action 'self'; ", "", 1)

// keeps reports whether a form is one that was kept for this browser, session and target.
func (g *Gateway) keeps(v *visitor, form, target string) bool {
	key, ok := parseFormKey(v.formKey)
	if !ok || v.via != byCookie {
		return false
	}
	_, ok = key.opens(form, place{g.origin.text, v.identity.SessionID, target})
	return ok
}

// chooseMethods leaves a page those methods with which this account can confirm, and says what it lacks where there is
// none. While the store cannot say what the account has, all that could serve are offered.
func (g *Gateway) chooseMethods(r *http.Request, v *visitor, p *Page) {
	c := p.Confirm
	if len(c.With) > 0 {
		p.Methods = slices.DeleteFunc(p.Methods, func(m authcore.Method) bool { return !slices.Contains(c.With, m) })
	}
	all, err := g.realm.Stores.Credentials.CredentialsOf(r.Context(), v.identity.Subject)
	if err != nil {
		g.realm.Logger.LogAttrs(r.Context(), slog.LevelWarn, "methods of an account not known", slog.String("cause", err.Error()))
		return
	}
	offered := slices.Clone(p.Methods)
	p.Methods = slices.DeleteFunc(p.Methods, func(m authcore.Method) bool {
		return !slices.ContainsFunc(all, func(held authcore.Credential) bool { return held.Kind == m && g.usableHere(r, held) })
	})
	if c.Absent = len(p.Methods) == 0; c.Absent {
		c.Lacking = offered
	}
}

// usableHere reports whether a credential can be used on this site: a passkey belongs to a domain.
func (g *Gateway) usableHere(r *http.Request, c authcore.Credential) bool {
	if c.Kind != authcore.Passkey {
		return true
	}
	view := g.realm.viewCredential(r.Context(), c)
	return cmp.Or(view.RPID, g.realm.passkeys.RelyingPartyID(g.origin.text)) == g.realm.passkeys.RelyingPartyID(g.origin.text)
}

// sendForm is POST confirm: what the page to confirm on sends to have a kept form sent on. The browser is told to send the
// same once more to where the form was for (307 keeps method and body), and there the form takes its place.
func (g *Gateway) sendForm(w http.ResponseWriter, r *http.Request, v *visitor) error {
	switch {
	case v.err != nil:
		return v.err
	case !namesSender(r):
		return errCrossSite
	case v.identity == nil:
		return errFormGone
	case !isKind(r.Header["Content-Type"], "application/x-www-form-urlencoded"):
		return errFormType
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	id, is := strings.CutPrefix(string(body), formField)
	to := g.readConfirmation(r.URL.Query()).returnTo
	if !is || !g.keeps(v, id, to) {
		return errFormGone
	}
	w.Header()["Location"] = []string{to}
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}
