package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// showKeys is GET jwks.json: the public keys (RFC 7517) by which others verify access tokens and assertions.
func (g *Gateway) showKeys(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	keys, err := g.realm.keys.JWKS(r.Context())
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = []string{"application/jwk-set+json"}
	writeBody(w, r, http.StatusOK, keys)
	return nil
}

// healthView tells that all is well, and no more: the route is open to everybody.
type healthView struct {
	Status string `json:"status"`
}

// showLive is GET health/live: the process answers.
func (g *Gateway) showLive(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	return writeJSON(w, r, healthView{"live"})
}

// readyTimeout is shorter than what health checkers wait.
const readyTimeout = 2 * time.Second

// showReady is GET health/ready: sign-ins can work now, and new requests are welcome.
func (g *Gateway) showReady(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	if leaving := g.realm.Leaving; leaving != nil && leaving() {
		return errLeaving
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := g.realm.Status(ctx).Err(); err != nil {
		return unavailable(err).Error
	}
	return writeJSON(w, r, healthView{"ready"})
}

// page answers what every page is filled with.
func (g *Gateway) page(name string, status int, id *authcore.Identity) Page {
	p := Page{
		Name: name, Status: status, Mount: g.site.Path, Origin: g.origin.text, Methods: forPeople(g.site.Methods), Identity: id,
		Registration: g.realm.OpenRegistration, Mail: g.passwords != nil,
		Solana: g.offers(authcore.Wallet) && g.realm.Wallet.Solana != "",
	}
	if slices.Contains(p.Methods, authcore.Password) {
		p.ByGrant, p.MinLength = !p.Registration && g.realm.grants.emails(), g.passwords.MinLength
	}
	return p
}

// forPeople leaves out what programs sign in with: no page can offer it.
func forPeople(methods []authcore.Method) []authcore.Method {
	return slices.DeleteFunc(slices.Clone(methods), func(m authcore.Method) bool { return m == authcore.ProgramKey })
}

func (g *Gateway) servePage(w http.ResponseWriter, r *http.Request, p Page) error {
	if site, is := g.isHandOff(p.ReturnTo); is {
		p.Beyond = site.origin.text
	}
	if site := r.Header["Sec-Fetch-Site"]; r.URL.Query().Has("pop-up") && len(site) == 1 && site[0] == "same-origin" {
		// A window that a page of this very origin opened, see authgate.js, which is to see when it is closed. That page could
		// do all to this one as it is; a page of elsewhere is not let near.
		w.Header()["Cross-Origin-Opener-Policy"] = []string{"unsafe-none"}
	}
	if err := g.site.Pages.ServePage(w, r, p); err != nil {
		return errBrokenPage.because(err)
	}
	return nil
}

// showPage answers what shows a page that needs nobody signed in. Pages with a key get it in the fragment, of which no
// server hears: whatever opens a link from a mail, a scanner say, changes nothing.
func (g *Gateway) showPage(name string) serve {
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		if v.err != nil {
			return v.err
		}
		p := g.page(name, http.StatusOK, v.identity)
		p.ReturnTo = g.safeReturn(r.URL.Query().Get("return_to"))
		return g.servePage(w, r, p)
	}
}

// showAccount answers what shows a page of the account: GET account, and the pages below it.
func (g *Gateway) showAccount(name string) serve {
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		switch {
		case v.err != nil:
			return v.err
		case v.identity == nil:
			return g.sendToSignIn(w, r, v)
		}
		p := g.page(name, http.StatusOK, v.identity)
		p.ReturnTo = g.safeReturn(r.URL.Query().Get("return_to")) // where who confirms was sent here from
		return g.servePage(w, r, p)
	}
}

// leadIn is GET of the mount itself: it leads to the account, which leads who is signed out to the sign-in page.
func (g *Gateway) leadIn(w http.ResponseWriter, _ *http.Request, _ *visitor) error {
	g.lead(w, g.site.Path+"/account")
	return nil
}

// showModule is GET authgate.js: the module by which single-page apps outlive a session. It finds the other routes by its own
// address.
func (g *Gateway) showModule(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	g.site.Pages.ServeAsset(w, r, "authgate.js")
	return nil
}

// showAsset is GET assets/*.
func (g *Gateway) showAsset(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	g.site.Pages.ServeAsset(w, r, r.PathValue("name"))
	return nil
}
