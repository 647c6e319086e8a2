package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// Question asks what would become of a request.
type Question struct {
	// URL is what would be asked for, "https://app.example.com/admin/x". Where there is one site only, a path is enough.
	URL    string
	Method string     // default GET
	Client netip.Addr // of the client; the zero Addr fits only rules without From
	// User is who would ask: an id, a username, a confirmed e-mail address or a linked wallet; empty: nobody who is signed in.
	User string
	With []authcore.Method // by which the user would have signed in just now; none: long ago, by whatever proves nothing
}

// Answer says what would become of a request at one gateway.
type Answer struct {
	Origin string // of the site
	Method string
	Path   string // as it is judged: escaped, without the query
	Route  string // the gateway's own route that answers, below no rule; empty: the request is judged
	// Identity is who the request would be; nil: signed out.
	Identity *authcore.Identity
	// The judgement, where Route is empty.
	policy.Explanation
	SignIn string // where a person is sent to sign in; empty: that is not the answer
	// Preflight is what becomes of a CORS preflight that asks for this request; empty: there is none for it.
	Preflight string
	// TokenRefused tells that a personal access token is refused where its owner is not, or only has to confirm.
	TokenRefused bool
	Status       int      // of the refusal, as programs get it; 0: it is passed on, or Route answers
	Code         string   // of the refusal
	Words        []string // all that in sentences
}

var (
	// ErrQuestion says that a question is none.
	ErrQuestion = errors.New("the question is not understood")
	// ErrNoSite says that no site has the origin that is asked about.
	ErrNoSite = errors.New("no site has this origin")
)

// Explain answers what would become of a request, and why, at each gateway of its origin: there is more than one only where
// a site has several. It is ErrQuestion, ErrNoSite, or authcore.ErrUserNotFound and ErrAmbiguousUser as for Account.
func (r *Realm) Explain(ctx context.Context, q Question) ([]Answer, error) {
	from, _, err := splitURL(q.URL)
	if err != nil {
		return nil, err
	}
	var sites []*Gateway
	origins := make(map[string]bool)
	for _, g := range r.State.gateways(r) {
		origins[g.origin.text] = true
		if from == "" || from == g.origin.text {
			sites = append(sites, g)
		}
	}
	known := strings.Join(slices.Sorted(maps.Keys(origins)), ", ")
	switch {
	case len(sites) == 0 && len(origins) == 0:
		return nil, fmt.Errorf("%w: the configuration has no site with authgate", ErrNoSite)
	case len(sites) == 0:
		return nil, fmt.Errorf("%w: %s; there are: %s", ErrNoSite, from, known)
	case from == "" && len(origins) > 1:
		return nil, fmt.Errorf("%w: there are several sites; write the whole URL, of one of: %s", ErrQuestion, known)
	}
	answers := make([]Answer, len(sites))
	for i, g := range sites {
		if answers[i], err = g.explain(ctx, q); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// splitURL splits what is asked for into an origin, empty where there is none, and the target of a request line.
func splitURL(text string) (from, target string, err error) {
	text, _, _ = strings.Cut(text, "#") // clients keep it to themselves
	if strings.HasPrefix(text, "/") {
		return "", text, nil
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return "", "", fmt.Errorf("%w: %q is no URL; write one such as https://app.example.com/admin", ErrQuestion, text)
	}
	switch strings.ToLower(scheme) {
	case "ws":
		scheme = "http"
	case "wss":
		scheme = "https"
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	o, err := parseOrigin(scheme + "://" + rest[:end])
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	if target = rest[end:]; !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return o.text, target, nil
}

// explain answers what would become of a request on this site.
func (g *Gateway) explain(ctx context.Context, q Question) (Answer, error) {
	_, target, err := splitURL(q.URL)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Origin: g.origin.text, Method: cmp.Or(q.Method, http.MethodGet)}
	if a.Identity, a.Words, err = g.supposed(ctx, q); err != nil {
		return Answer{}, err
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		a.refuse(errBadTarget, "No server takes this for the target of a request.")
		return a, nil
	}
	a.Path = u.EscapedPath()
	r := &http.Request{Method: a.Method, URL: u, RequestURI: target, Host: g.origin.hostIs}
	if sub, own := g.ownPath(r); own {
		return g.explainOwn(a, sub), nil
	}
	if refusal := checkTarget(r, false); refusal != nil {
		a.refuse(refusal.Error, refusal.Detail)
		return a, nil
	}
	asked := policy.Request{Method: a.Method, Path: a.Path, Client: q.Client, Identity: a.Identity, Now: g.realm.Now()}
	a.Explanation = g.policy.Explain(asked)
	a.Words = append(a.Words, a.Explanation.Words...)
	if a.Strict {
		a.Words = append(a.Words, "The store is asked at each request whether the session lives and what its user may.")
	}
	switch a.Verdict {
	case policy.Allow:
		a.Words = append(a.Words, "The request is passed on.")
	case policy.SignIn:
		a.SignIn = g.pageOf("sign-in")
		a.refuse(errSignedOut, fmt.Sprintf("A page navigation is sent to sign in, at %s; anything else gets 401.", a.SignIn))
	case policy.StepUp:
		a.refuse(errStepUp, fmt.Sprintf("It gets 401 step_up_required, in a browser with a page to confirm on, at %s.", g.pageOf(confirmPage)))
	case policy.BadPath:
		a.refuse(errBadTarget, "It gets 400.")
	default:
		a.refuse(errForbidden, "It gets 403.")
	}
	g.explainToken(&a, asked)
	g.explainPreflight(&a, asked)
	return a, nil
}

// pageOf answers the address of a page about sign-in: here, or where this site has its own.
func (g *Gateway) pageOf(name string) string {
	if !g.away() {
		return g.origin.text + g.site.Path + "/" + name
	}
	home, err := g.homeOf()
	if err != nil {
		return g.signInAt.text
	}
	return home.pageOf(name)
}

// explainToken tells where a personal access token is refused though its owner is not. Nobody signs in with one, so that it
// meets no rule that asks how, or when, that was done.
func (g *Gateway) explainToken(a *Answer, asked policy.Request) {
	if !g.takesPersonal() {
		return
	}
	asks := a.Rule >= 0 && (len(g.site.Rules[a.Rule].With) > 0 || g.site.Rules[a.Rule].Within > 0)
	switch {
	case asked.Identity == nil:
		a.TokenRefused = asks && a.Verdict == policy.SignIn
	case a.Verdict == policy.Allow || a.Verdict == policy.StepUp:
		id := *asked.Identity
		id.Token, id.Methods = true, nil
		asked.Identity = &id
		a.TokenRefused = g.policy.Judge(asked).Verdict != policy.Allow
	}
	if a.TokenRefused {
		a.Words = append(a.Words, "A personal access token gets 403: nobody signs in with one, and the rule asks for evidence of that.")
	}
}

// explainPreflight tells what becomes of the question that browsers ask before a page of another origin may make a request.
func (g *Gateway) explainPreflight(a *Answer, asked policy.Request) {
	if a.Method == http.MethodOptions || a.Verdict == policy.BadPath {
		return
	}
	asked.Method, asked.Identity = http.MethodOptions, nil
	d := g.policy.Judge(asked)
	if d.Verdict != policy.Allow {
		if preflight, passes := g.policy.JudgePreflight(asked, a.Method); passes {
			d = preflight
		}
	}
	a.Preflight = d.Verdict.String()
	switch d.Verdict {
	case policy.Allow:
		a.Words = append(a.Words, "A CORS preflight for it is passed on, as from nobody.")
	case policy.SignIn:
		a.Words = append(a.Words, "A CORS preflight for it gets 401: browsers ask without credentials, and no rule with preflight lets the question through.")
	default:
		a.Words = append(a.Words, "A CORS preflight for it gets 403.")
	}
}

// supposed answers who a question is about, and what there is to say of that.
func (g *Gateway) supposed(ctx context.Context, q Question) (*authcore.Identity, []string, error) {
	if q.User == "" {
		return nil, nil, nil
	}
	account, err := g.realm.Account(ctx, q.User)
	if err != nil {
		return nil, nil, err
	}
	if account.Disabled {
		return nil, []string{fmt.Sprintf("The account of %s is disabled, so it counts as signed out.", account.Username)}, nil
	}
	id := &authcore.Identity{
		Subject: account.ID, Username: account.Username, Name: account.Name, Email: account.Email, Roles: account.Roles,
	}
	for _, c := range account.Credentials {
		switch c.Kind {
		case authcore.Wallet:
			id.Wallets = append(id.Wallets, c.Key)
		case authcore.ProgramKey:
			id.Keys = append(id.Keys, c.Key)
		}
	}
	for _, m := range q.With {
		id.Methods = append(id.Methods, authcore.MethodUse{Method: m, Time: g.realm.Now(), UserVerified: true})
	}
	var words []string
	for _, one := range account.ChainRoles {
		now := "which no wallet of " + account.Username + " is known to have"
		if one.Has {
			now = "which a wallet of " + account.Username + " has"
		}
		words = append(words, fmt.Sprintf("The role %s goes by the chain: %s, %s.", one.Role, one.Holding, now))
	}
	return id, words, nil
}

// explainOwn answers for a route of the gateway's own.
func (g *Gateway) explainOwn(a Answer, sub string) Answer {
	a.Rule, a.Route = -1, g.site.Path+"/"+sub
	if strings.HasPrefix(sub, "/") {
		a.Route = sub // a well-known one
	}
	a.Words = append(a.Words, "The gateway answers this itself, and asks no rule.")
	to, _, known := g.lookUp(sub)
	if !known {
		a.refuse(errNotFound, "It has no such route: it answers 404.")
		return a
	}
	if do, allow := to.by(a.Method); do == nil && to.raw == nil {
		a.refuse(errMethodNotAllowed, "The route is for "+allow+": it answers 405.")
	}
	return a
}

func (a *Answer) refuse(with *Error, words string) {
	a.Status, a.Code = with.Status, with.Code
	if with.Code == errBadTarget.Code {
		a.Verdict, a.Rule = policy.BadPath, -1
	}
	a.Words = append(a.Words, words)
}

// RuleText is a rule as it stands.
type RuleText struct {
	Text   string // as in a Caddyfile
	Source string // where it is written, "Caddyfile:12"; may be empty
}

// Rules answers the rules of the site, in their order.
func (g *Gateway) Rules() []RuleText {
	rules := make([]RuleText, len(g.site.Rules))
	for i, rule := range g.site.Rules {
		rules[i] = RuleText{rule.String(), rule.Source}
	}
	return rules
}
