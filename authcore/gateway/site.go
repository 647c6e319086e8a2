package gateway

import (
	"net/http"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// Site is one origin that the gateway protects. The zero value of a field is its default.
type Site struct {
	Origin           string            // required: scheme, host and port as the browser shows them, "https://app.example.com"
	Path             string            // where the gateway's own routes are; default "/auth"
	Methods          []authcore.Method // sign-in methods offered; default: all that the realm has on
	CookieDomain     string            // one sign-in for all hosts below it; default: this host only
	SignInAt         string            // the origin of another site of the realm, which has the sign-in for this one; default: its own
	Rules            []policy.Rule
	Headers          []Header // further identity headers
	NoDefaultHeaders bool     // no other headers than Headers
	Preset           string   // headers of another gateway in place of the default ones, see Presets
	RawPreset        bool     // as Header.Raw, for the default headers or those of the preset
	Pages            Pages    // sign-in page and the like; default: none, the routes of pages answer 404
	// Identified is told who a request is (nil: signed out) after it was authenticated and before it is judged.
	Identified func(*http.Request, *authcore.Identity)
	Owner      any // whatever made the gateway, for Gateway.Owner; may be nil
}

// Header is an identity header: its value is a template with placeholders {subject} {username} {name} {email} {roles}
// {wallet} {methods}. Where a placeholder of it has no value, the header is absent. A header whose value is {assertion} alone
// carries the assertion.
type Header struct {
	Name, Value string
	// Raw lets a value stand as UTF-8 where it is text without control characters; else it is percent-encoded where it is not
	// printable ASCII.
	Raw bool
}

// Next is what stands behind the gateway.
type Next func(w http.ResponseWriter, r *http.Request) error

// Pages serves the pages for people. The gateway has set the headers for security and caching before.
type Pages interface {
	// ServePage writes the page and the status. Names are those of the routes ("sign-in", "account", "register", "forgot",
	// "activate", "reset", "email", "admin"; "admin-user" for admin/user), "error" and "loop".
	ServePage(w http.ResponseWriter, r *http.Request, p Page) error
	// ServeAsset writes a file that a page refers to, or 404.
	ServeAsset(w http.ResponseWriter, r *http.Request, name string)
}

// Page is what a page is filled with.
type Page struct {
	Name     string
	Status   int               // HTTP status to answer with
	Mount    string            // the path of the gateway's routes, "/auth"
	Origin   string            // of the site
	Methods  []authcore.Method // those offered
	ReturnTo string            // where to go after sign-in: a safe path on this origin
	Beyond   string            // the origin of another site, where that leads with a hand-off; else empty
	Identity *authcore.Identity
	Problem  *Error // for "error", and for a form that was refused

	Again     string // for "error" of a hand-off: where signing in leads that is begun anew, a safe path on this origin; empty: nowhere
	Cause     string // for "loop": "cookie", "domain", "clock" or "store"
	Here      string // for "loop": the host that was asked for
	RequestID string // of what is refused: by which the request is found in logs
	Email     string // as it was entered into a form that is shown once more
	Sent      bool   // whether a mail to Email was asked for by a form, and is on its way if there is an account

	Confirm *Confirm // for "confirm"

	Registration bool // whether strangers may open an account
	ByGrant      bool // whether holders of some e-mail addresses may, where Registration is false
	Solana       bool // whether Solana wallets are offered beside those of Ethereum
	Mail         bool // whether e-mail addresses can be confirmed
	MinLength    int  // of a new password, in characters; 0 where passwords are off
}
