package pages

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// view is what a template sees.
type view struct {
	gateway.Page
	words words

	Lang    string // BCP 47 tag
	Dir     string // in which it is written: "ltr" or "rtl"
	Product string // its name; may be empty
	Logo    *logo  // may be nil
	Site    string // the origin as people know it: host, and port where it is unusual
	Who     string // the signed-in user in one word, for a sentence
	Wallets []walletView

	Kind string // on the error page, which of its texts
	When string // "in 20 seconds"
}

// walletView is a linked wallet for people.
type walletView struct {
	Key     string // of its credential
	Address string // EIP-55, or in base 58 of a Solana wallet
	Chain   string // of a contract wallet; empty for a plain key
}

func newView(tag string, w words, p gateway.Page, retryAfter int) (*view, error) {
	origin, err := url.Parse(p.Origin)
	if err != nil || origin.Host == "" {
		return nil, fmt.Errorf("origin %q has no host", p.Origin)
	}
	if p.Name == "confirm" && p.Confirm == nil {
		p.Confirm = &gateway.Confirm{}
	}
	if p.Name == "loop" {
		p.Cause = cmp.Or(p.Cause, "cookie")
	}
	v := &view{Page: p, words: w, Lang: tag, Dir: direction(tag), Site: origin.Host}
	if id := p.Identity; id != nil {
		v.Who = id.Username
		if id.Name != "" {
			v.Who = id.Name
		}
		v.Who = shortAddress(v.Who)
		for _, key := range id.Wallets {
			v.Wallets = append(v.Wallets, parseWallet(key))
		}
	}
	if p.Name == "error" {
		v.Kind = kindOf(w, p)
		if v.When, err = when(w, retryAfter); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Say answers a text of the page with its places filled: Say "to" "site" .Site. A text that is not there is an error.
func (v *view) Say(key string, places ...string) (string, error) {
	text, ok := v.words.Page[key]
	if !ok {
		return "", fmt.Errorf("no text %q", key)
	}
	return v.fill(text, places...)
}

// fill fills the places of a text; {site} may be in any.
func (v *view) fill(text string, places ...string) (string, error) {
	places = append(slices.Clone(places), "site", v.Site)
	if v.Dir == "rtl" {
		places = isolated(places)
	}
	return say(text, places...)
}

// isolated keeps values that are written from left to right, addresses say, in one piece within a text that is not (UAX #9,
// section 2.7: FSI and PDI).
func isolated(places []string) []string {
	places = slices.Clone(places)
	for i := 1; i < len(places); i += 2 {
		places[i] = "\u2068" + places[i] + "\u2069"
	}
	return places
}

// Time is a time for readers whose browser does not put it in their own way.
func (v *view) Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Title is what stands behind the dot in titles.
func (v *view) Title() string { return cmp.Or(v.Product, v.Site) }

// NoScript answers the text for who is here without JavaScript.
func (v *view) NoScript() string {
	switch {
	case !v.Offers(authcore.Password):
		return "noscript"
	case len(v.Methods) > 1:
		return "noscriptPassword"
	}
	return ""
}

// ofRefusals are the texts of scripts by what is wrong with a form, which without scripts is told by the page itself.
var ofRefusals = map[string]string{
	"invalid_credentials": "passwordOrEmailWrong", "invalid_email": "emailInvalid", "invalid_request": "nameInvalid",
	"registration_closed": "emailClosed", "account_disabled": "accountDisabled",
	"too_short": "passwordTooShort", "too_long": "passwordTooLong", "common": "passwordCommon", "site": "passwordSite",
}

// Refused answers what is wrong with a form that was sent without JavaScript, or "".
func (v *view) Refused() (string, error) {
	if v.Problem == nil || v.Name == "error" {
		return "", nil
	}
	key := ofRefusals[v.Problem.Code]
	switch {
	case v.Problem.Reason() != "":
		key = ofRefusals[v.Problem.Reason()]
	case v.Identity != nil && v.Problem.Code == "invalid_credentials":
		key = "passwordWrong"
	}
	if key == "" {
		key = "unexpected"
	}
	text, ok := v.words.Script[key]
	if !ok {
		return "", fmt.Errorf("no text %q", key)
	}
	return v.fill(text, "site", v.Site, "n", strconv.Itoa(v.MinLength))
}

// Data is what the scripts of the page are told.
func (v *view) Data() any {
	return struct {
		Mount    string            `json:"mount"`
		Site     string            `json:"site"`
		ReturnTo string            `json:"returnTo"`
		User     string            `json:"user,omitempty"`    // id of who is signed in
		Wallets  []string          `json:"wallets,omitempty"` // addresses of who is signed in
		Solana   bool              `json:"solana,omitempty"`  // wallets of Solana are offered too
		Text     map[string]string `json:"text"`
	}{v.Mount, v.Site, cmp.Or(v.Onward(), v.ReturnTo), v.subject(), v.addresses(), v.Solana, v.said()}
}

// said are the texts that scripts of this page can say. On the pages of an account and of administration nobody opens one, or enters an address with a password.
func (v *view) said() map[string]string {
	texts := maps.Clone(v.words.Script)
	if v.Name == "account" || v.Administers() {
		for _, key := range []string{
			"usernameInvalid", "usernameTaken", "passkeyClosed", "registrationClosed", "emailClosed", "nameInvalid",
			"passwordOrEmailWrong", "done", "methodOff", "passkeyNoneYet",
		} {
			delete(texts, key)
		}
	}
	if v.Administers() {
		for _, key := range neverOfAdministration {
			delete(texts, key)
		}
	}
	return texts
}

func (v *view) subject() string {
	if v.Identity == nil {
		return ""
	}
	return v.Identity.Subject
}

func (v *view) addresses() (all []string) {
	for _, w := range v.Wallets {
		all = append(all, w.Address)
	}
	return all
}

// Offers reports whether a sign-in method is offered.
func (v *view) Offers(m authcore.Method) bool { return slices.Contains(v.Methods, m) }

// Modules are the scripts of the methods on a page. The page names them, so that they are fetched along with the script
// that uses them and not only after it.
func (v *view) Modules() []authcore.Method {
	return slices.DeleteFunc(slices.Clone(v.Methods), func(m authcore.Method) bool { return m == authcore.ProgramKey })
}

// Opens reports whether somebody who is signed out may open an account with an e-mail address.
func (v *view) Opens() bool {
	return v.Identity == nil && v.Offers(authcore.Password) && (v.Registration || v.ByGrant)
}

// Compact reports whether the sign-in page begins with a form for e-mail address and password. Passkeys are suggested in its
// fields then, and need none of their own; accounts are opened on another page.
func (v *view) Compact() bool {
	return v.Name == "sign-in" && v.Identity == nil && v.Offers(authcore.Password)
}

// Divides reports whether other methods follow that form.
func (v *view) Divides() bool { return v.Compact() && len(v.Methods) > 1 }

// Registers reports whether the page is the one to open an account.
func (v *view) Registers() bool { return v.Name == "register" || v.Adds() }

// Adds reports whether the page is one that a link leads to with which an account is opened, or a way to sign in added.
func (v *view) Adds() bool { return v.Name == "invite" || v.Name == "recover" }

// AsksUsername reports whether there is a field for the username beside passkeys.
func (v *view) AsksUsername() bool { return v.Identity == nil && !v.Compact() && v.Name != "recover" }

// CreatesPasskey reports whether an account may be opened with a passkey.
func (v *view) CreatesPasskey() bool { return v.Adds() || v.Registration && v.AsksUsername() }

// SetsPassword reports whether who is signed in can have a password: an address must be confirmed before.
func (v *view) SetsPassword() bool {
	return v.Offers(authcore.Password) && v.Identity != nil && v.Identity.Email != ""
}

// StepUp reports whether the sign-in page is for somebody who is signed in and must prove it anew.
func (v *view) StepUp() bool { return v.Identity != nil }

// Elsewhere reports whether signing in leads to a place worth naming: the start page is not.
func (v *view) Elsewhere() bool { return v.ReturnTo != "" && v.ReturnTo != "/" }

// UsernameIsWallet reports whether the username only repeats a wallet, as it does until its owner chooses one.
func (v *view) UsernameIsWallet() bool {
	return slices.ContainsFunc(v.Wallets, func(w walletView) bool {
		name := authcore.FoldUsername(v.Identity.Username)
		return authcore.FoldUsername(w.Key) == name || authcore.FoldUsername(w.Address) == name
	})
}

// UsernameIsEmail reports whether the username only repeats the e-mail address.
func (v *view) UsernameIsEmail() bool {
	return v.Identity.Email != "" && authcore.FoldUsername(v.Identity.Email) == authcore.FoldUsername(v.Identity.Username)
}

// Head and Tail are the halves of the address, for a line break that leaves no crumb.
func (w walletView) Head() string { return w.Address[:w.half()] }

func (w walletView) Tail() string { return w.Address[w.half():] }

func (w walletView) half() int {
	switch {
	case len(w.Address) == 42:
		return 22
	case strings.HasPrefix(w.Key, "solana:"):
		return len(w.Address) / 2
	}
	return len(w.Address)
}

// File, Width and Height are for templates.
func (l *logo) File() string { return l.file }

func (l *logo) Width() int { return l.width }

func (l *logo) Height() int { return l.height }

// MethodName is what people call a sign-in method.
func (v *view) MethodName(m authcore.Method) (string, error) { return v.Say(string(m) + "Method") }

// kindOf answers which texts of the error page tell of this problem: those of its code, else of its status.
func kindOf(w words, p gateway.Page) string {
	kinds := []string{strconv.Itoa(p.Status)}
	if p.Status == 403 && p.Identity == nil {
		kinds[0] = "403.out"
	}
	// Only who is signed in can confirm it.
	if p.Problem != nil && (p.Identity != nil || p.Problem.Code != "step_up_required") {
		kinds = append([]string{p.Problem.Code}, kinds...)
	}
	for _, kind := range kinds {
		if _, ok := w.Page[kind+".heading"]; ok {
			return kind
		}
	}
	return "other"
}

// when puts a number of seconds into words; 0 is unknown.
func when(w words, seconds int) (string, error) {
	switch {
	case seconds <= 1:
		return say(w.Page["soon"])
	case seconds < 120:
		return say(w.Page["inSeconds"], "n", strconv.Itoa(seconds))
	default:
		return say(w.Page["inMinutes"], "n", strconv.Itoa((seconds+59)/60))
	}
}

// say fills the places of a text. All are filled at one pass, so that a value which looks like a place stays as it is.
func say(text string, places ...string) (string, error) {
	if len(places)%2 != 0 {
		return "", fmt.Errorf("text %q: a place without a value", text)
	}
	pairs := make([]string, len(places))
	for i, s := range places {
		if i%2 == 0 {
			s = "{" + s + "}"
		}
		pairs[i] = s
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}

// parseWallet reads a credential key: an address, eip155:<chain>:<address> of a contract wallet, or solana:<address>.
func parseWallet(key string) walletView {
	if rest, ok := strings.CutPrefix(key, "eip155:"); ok {
		if chain, address, ok := strings.Cut(rest, ":"); ok {
			return walletView{Key: key, Address: address, Chain: chain}
		}
	}
	return walletView{Key: key, Address: strings.TrimPrefix(key, "solana:")}
}

// shortAddress abbreviates an Ethereum address the way wallets do, 0x5290…9EE7, and other keys likewise, and nothing else.
func shortAddress(s string) string {
	if w := parseWallet(s); w.Chain != "" {
		s = w.Address
	}
	if len(s) == 42 && strings.HasPrefix(s, "0x") {
		return s[:6] + "…" + s[38:]
	}
	// People cannot choose a name with a colon.
	if kind, name, ok := strings.Cut(s, ":"); ok && slices.Contains([]string{"solana", "ed25519", "ml-dsa-65"}, kind) && len(name) > 8 {
		return kind + ":" + name[:4] + "…" + name[len(name)-4:]
	}
	return s
}
