package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"
)

// The pages that ask for an address or a password work without JavaScript too: the browser sends their form to the page
// itself. What it sends is read, checked and answered by the routes for programs; only how it is written differs.

var errFormType = &Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "Only the form of this page can be sent here. Programs send JSON to the other routes."}

// formFields are the fields that forms have; others are not passed on.
var formFields = []string{"email", "password", "name"}

// form is what serves a form that is sent to the page with this name, as if it had been sent as JSON; guard is what stands
// before that, and before anything is read. It ends with 303 to where the user wanted to go, or with the page once more:
// with what is wrong, or, where a mail is sent, with that.
func (g *Gateway) form(name string, guard func(serve) serve) serve {
	return func(w http.ResponseWriter, r *http.Request, v *visitor) error {
		var p *Page // once the form was read
		err := guard(func(w http.ResponseWriter, r *http.Request, v *visitor) error {
			fields, err := g.readForm(w, r)
			if err != nil {
				return err
			}
			of := g.page(name, http.StatusOK, v.identity)
			of.ReturnTo, of.Email = g.safeReturn(fields["return_to"]), fields["email"]
			p = &of
			return g.asked(name, fields, v)(&unwritten{ResponseWriter: w, to: p}, asJSON(r, fields), v)
		})(w, r, v)
		switch {
		case err == nil && p.Sent:
			return g.servePage(w, r, *p)
		case err == nil:
			w.Header()["Location"] = []string{p.ReturnTo}
			w.WriteHeader(http.StatusSeeOther)
			return nil
		case p == nil:
			return err
		}
		e := asError(err)
		if !concernsForm(e) {
			return err
		}
		p.RequestID = g.name(w, r, e)
		p.Status, p.Problem = e.Status, e
		g.setErrorHeaders(w.Header(), e)
		return g.servePage(w, r, *p)
	}
}

// asked answers what does what the form of a page asks for. Who confirms a sign-in is named by the form, as the page named
// them: by now somebody else may be signed in, or nobody, and then it is a sign-in of whom it names.
func (g *Gateway) asked(name string, fields map[string]string, v *visitor) serve {
	switch name {
	case "register":
		return g.registerPassword
	case "forgot":
		return g.forgotPassword
	}
	if fields["email"] == "" {
		fields["email"] = fields["username"]
		if id := v.identity; id != nil && fields["username"] == cmp.Or(id.Email, id.Username) {
			return g.stepUpPassword
		}
	}
	return g.signInPassword
}

// concernsForm reports whether a refusal is about what was entered, so that the form is shown once more.
func concernsForm(e *Error) bool {
	return slices.Contains([]string{
		"invalid_credentials", "invalid_email", "weak_password", "invalid_request", "registration_closed", "account_disabled",
	}, e.Code)
}

// readForm reads the fields of a form that this very site's page has sent. Unlike JSON, any page can have a browser send
// one (cross-site request forgery), so here it does not do that nothing speaks against the sender: the browser must say
// that it is a navigation, and where it comes from.
func (g *Gateway) readForm(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	if !isKind(r.Header["Content-Type"], "application/x-www-form-urlencoded") || !g.isNavigation(r) {
		return nil, errFormType
	}
	if !namesSender(r) {
		return nil, errCrossSite
	}
	b, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	fields, err := parseForm(string(b))
	if err != nil {
		return nil, errInvalidRequest.because(err)
	}
	return fields, nil
}

// namesSender reports whether the browser says of which origin the page is that sent a form; checkSender has seen to it
// that it is this one.
func namesSender(r *http.Request) bool {
	return r.Header["Origin"] != nil || slices.Contains(r.Header["Sec-Fetch-Site"], "same-origin")
}

// parseForm answers the fields of a form that have a value (application/x-www-form-urlencoded, WHATWG URL section 5). No
// field may be there twice: which one counts would be anybody's guess.
func parseForm(body string) (map[string]string, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, errors.New("gateway: form: not urlencoded") // what it is instead may be a secret
	}
	fields := map[string]string{}
	for name, all := range values {
		switch {
		case len(all) > 1:
			return nil, errors.New("gateway: form: a field is there twice")
		case !utf8.ValidString(all[0]):
			return nil, errors.New("gateway: form: not UTF-8")
		case all[0] != "":
			fields[name] = all[0]
		}
	}
	return fields, nil
}

// asJSON answers the request as a program would send it that wants a session cookie.
func asJSON(r *http.Request, fields map[string]string) *http.Request {
	members := map[string]string{"session": "cookie"}
	for _, name := range formFields {
		if value, ok := fields[name]; ok {
			members[name] = value
		}
	}
	for _, name := range []string{"email", "password"} {
		members[name] += "" // an empty field is wrong, not missing
	}
	b, _ := json.Marshal(members) // strings always can be
	same := r.Clone(r.Context())
	same.Header["Content-Type"] = []string{"application/json"}
	same.Body, same.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return same
}

// unwritten takes what is written to a program, which a browser would show as it is. The headers stay.
type unwritten struct {
	http.ResponseWriter
	to *Page
}

func (u *unwritten) WriteHeader(status int) { u.to.Sent = status == http.StatusAccepted }

func (u *unwritten) Write(b []byte) (int, error) {
	delete(u.Header(), "Content-Type")
	delete(u.Header(), "Content-Length")
	return len(b), nil
}
