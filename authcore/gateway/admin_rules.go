package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// adminRuleRoutes answers the routes by which administrators read the rules of this site.
func (g *Gateway) adminRuleRoutes() map[string]route {
	return map[string]route{
		"admin/rules":   {get: g.administered(false, g.listRules)},
		"admin/explain": {post: g.administered(false, g.explainRequest)},
	}
}

type ruleView struct {
	N      int    `json:"n"` // its place, from 1 on
	Text   string `json:"text"`
	Source string `json:"source"`
}

// listRules is GET admin/rules: the rules of this site as they stand.
func (g *Gateway) listRules(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	rules := []ruleView{}
	for i, rule := range g.Rules() {
		rules = append(rules, ruleView{i + 1, rule.Text, rule.Source})
	}
	return writeJSON(w, r, struct {
		Rules []ruleView `json:"rules"`
	}{rules})
}

// AnswerView is an Answer in JSON.
type AnswerView struct {
	Origin  string `json:"origin"`
	Method  string `json:"method"`
	Path    string `json:"path"` // as it is judged
	Verdict string `json:"verdict"`
	// Route is the gateway's own route that answers; absent: the request is judged.
	Route  string `json:"route,omitempty"`
	Status int    `json:"status,omitempty"` // of the refusal, as programs get it
	Code   string `json:"code,omitempty"`   // of the refusal
	// Rule is the place of the rule that decided, from 1 on; absent: none did.
	Rule     int           `json:"rule,omitempty"`
	Source   string        `json:"source,omitempty"`  // where that is written
	Text     string        `json:"text,omitempty"`    // what it says
	Reading  string        `json:"reading,omitempty"` // of the path, which decided
	Readings []ReadingView `json:"readings,omitempty"`
	Others   int           `json:"further_readings,omitempty"`
	With     []string      `json:"with,omitempty"`   // what step_up asks for
	Within   string        `json:"within,omitempty"` // and how new it must be
	// SignIn is where a person is sent to sign in.
	SignIn string `json:"sign_in,omitempty"`
	// Preflight is the verdict on a CORS preflight that asks for the request.
	Preflight string `json:"preflight,omitempty"`
	// TokenRefused tells that a personal access token of who may, or may once that is confirmed, is refused.
	TokenRefused bool       `json:"token_refused,omitempty"`
	User         *AskedView `json:"user,omitempty"`
	Words        []string   `json:"words"`
}

// ReadingView is a reading in JSON.
type ReadingView struct {
	Text    string `json:"text"`
	Verdict string `json:"verdict"`
	Rule    int    `json:"rule,omitempty"` // its place, from 1 on
}

// AskedView is the user that a question is about, in JSON.
type AskedView struct {
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Roles    []string `json:"roles"`
}

// View is the answer in JSON.
func (a Answer) View() AnswerView {
	v := AnswerView{
		Origin: a.Origin, Method: a.Method, Path: a.Path, Verdict: a.Verdict.String(), Route: a.Route, Status: a.Status, Code: a.Code,
		Rule: a.Rule + 1, Source: a.Source, Text: a.Text, Reading: a.Reading, Others: a.Others, Words: a.Words,
		SignIn: a.SignIn, Preflight: a.Preflight, TokenRefused: a.TokenRefused,
	}
	if a.Route != "" {
		v.Verdict = "own_route"
	}
	for _, r := range a.Readings {
		v.Readings = append(v.Readings, ReadingView{r.Text, r.Verdict.String(), r.Rule + 1})
	}
	for _, m := range a.With {
		v.With = append(v.With, string(m))
	}
	if a.Within > 0 {
		v.Within = a.Within.Round(time.Second).String()
	}
	if id := a.Identity; id != nil {
		v.User = &AskedView{id.Subject, id.Username, append([]string{}, id.Roles...)}
	}
	return v
}

// NewQuestion reads what people write of a question. Its error is ErrQuestion.
func NewQuestion(url, method, client, user string, with []string) (Question, error) {
	q := Question{URL: url, Method: method, User: user}
	if client != "" {
		ip, err := netip.ParseAddr(client)
		if err != nil || ip.Zone() != "" {
			return q, fmt.Errorf("%w: client %q is no IP address", ErrQuestion, client)
		}
		q.Client = ip
	}
	for _, name := range with {
		switch m := authcore.Method(name); m {
		case authcore.Passkey, authcore.Wallet, authcore.Password, authcore.ProgramKey:
			q.With = append(q.With, m)
		default:
			return q, fmt.Errorf("%w: with %q: write passkey, wallet, password or key", ErrQuestion, name)
		}
	}
	return q, nil
}

var (
	errNoSuchUser    = &Error{Status: http.StatusNotFound, Code: "user_not_found", Detail: "No account has this name."}
	errAmbiguousUser = &Error{Status: http.StatusConflict, Code: "user_ambiguous", Detail: "Several accounts have this name. Write the id of one."}
)

// explainRequest is POST admin/explain: what becomes of a request on this site, and why.
func (g *Gateway) explainRequest(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	url := body.required("url")
	method, _ := body.optional("method")
	client, _ := body.optional("client")
	user, _ := body.optional("user")
	var with []string
	if raw := body.members["with"]; raw != nil && string(raw) != "null" {
		if err := json.Unmarshal(raw, &with); err != nil {
			body.fail("with", "is not a list of strings")
		}
	}
	if body.err != nil {
		return body.err
	}
	q, err := NewQuestion(url, method, client, user, with)
	if err != nil {
		return errInvalidRequest.because(err)
	}
	from, _, err := splitURL(url)
	switch {
	case err != nil:
		return errInvalidRequest.because(err)
	case from != "" && from != g.origin.text:
		return errInvalidRequest.because(fmt.Errorf("gateway: explain: %s is another site", from))
	}
	a, err := g.explain(r.Context(), q)
	switch {
	case errors.Is(err, authcore.ErrUserNotFound):
		return errNoSuchUser
	case errors.Is(err, ErrAmbiguousUser):
		return errAmbiguousUser
	case err != nil:
		return err
	}
	return writeJSON(w, r, a.View())
}
