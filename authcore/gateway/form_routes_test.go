package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// seenPages are pages that tell all they are filled with.
type seenPages struct {
	plainPages
	last *Page // nil: none was served
}

func (s *seenPages) ServePage(w http.ResponseWriter, _ *http.Request, p Page) error {
	s.last = &p
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(p.Status)
	fmt.Fprintf(w, "%+v %+v %+v", p, p.Problem, p.Identity)
	return nil
}

// desk is a house whose pages are looked at, and a browser without JavaScript in front of it.
type desk struct {
	*house
	pages *seenPages
}

func newDesk(t testing.TB, change ...func(*RealmConfig, *Site)) desk {
	t.Helper()
	d := desk{pages: new(seenPages)}
	d.house = build(t, append([]func(*RealmConfig, *Site){passwordsOn, func(_ *RealmConfig, s *Site) { s.Pages = d.pages }}, change...)...)
	return d
}

const formKind = "application/x-www-form-urlencoded"

// bare sends a form with these headers only.
func (d desk) bare(page, form string, headers ...string) answer {
	d.t.Helper()
	d.pages.last = nil
	r := d.request("POST", page, "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form)), int64(len(form))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return d.serve(r)
}

// browser are the headers of a browser that sends a form of this site; more takes the place of those of the same name.
func browser(more ...string) []string {
	all := []string{"Origin", home, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html", "Content-Type", formKind}
	for i := 0; i < len(more); i += 2 {
		for j := 0; j < len(all); j += 2 {
			if all[j] == more[i] {
				all = slices.Delete(all, j, j+2)
				break
			}
		}
	}
	return append(all, more...)
}

// send sends a form as a browser does.
func (d desk) send(page, form string, more ...string) answer {
	d.t.Helper()
	return d.bare(page, form, browser(more...)...)
}

// form answers a form with these names and values.
func formOf(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// went checks for 303 to this place, with nothing for a program in it.
func (a answer) went(to string) answer {
	a.t.Helper()
	if a.Code != http.StatusSeeOther || !slices.Equal(a.Header()["Location"], []string{to}) || a.Body.Len() > 0 || a.Header()["Content-Type"] != nil {
		a.t.Fatalf("answered %d to %q, want 303 to %s: %v %s", a.Code, a.Header()["Location"], to, a.Header(), a.Body)
	}
	return a
}

// shown checks for a page with this name, status and code of what is wrong.
func (d desk) shown(a answer, name string, status int, code string) answer {
	d.t.Helper()
	p := d.pages.last
	if p == nil {
		d.t.Fatalf("no page, but %d %v %s", a.Code, a.Header(), a.Body)
	}
	got := ""
	if p.Problem != nil {
		got = p.Problem.Code
	}
	if p.Name != name || a.Code != status || got != code {
		d.t.Fatalf("page %s, %d %q, want %s, %d %q", p.Name, a.Code, got, name, status, code)
	}
	if h := a.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") != contentPolicy || h["Location"] != nil {
		d.t.Errorf("headers are %v", h)
	}
	return a
}

var formPages = []string{"sign-in", "register", "forgot"}

func TestFormSignsIn(t *testing.T) {
	d := newDesk(t)
	alices := d.person(alice, alicesPassword).User
	a := d.send("sign-in", formOf("email", alice, "password", alicesPassword, "return_to", "/reports?year=2026&x=1#top")).went("/reports?year=2026&x=1#top")
	if got := d.signedInAs(a.jar(sessionCookie)); got != alices.ID {
		t.Errorf("signed in as %q", got)
	}
	if a.cookies()[deviceCookie] == "" {
		t.Error("the browser will not be known again")
	}
	if a.Header().Get("Cache-Control") != "no-store" || a.Header().Get("Referrer-Policy") != "same-origin" {
		t.Errorf("headers are %v", a.Header())
	}
	d.shown(d.send("sign-in", formOf("email", alice, "password", bobsPassword, "return_to", "/reports")), "sign-in", 401, "invalid_credentials")
	if p := d.pages.last; p.Email != alice || p.ReturnTo != "/reports" || p.Identity != nil {
		t.Errorf("the page is filled with %+v", p)
	}
	if d.told("password ok") != 2 || d.told("password invalid_credentials") != 1 { // activation was the first
		t.Errorf("told %q", d.seen.told)
	}
}

func TestFormAsksForMails(t *testing.T) {
	d := newDesk(t)
	d.shown(d.send("register", formOf("name", "Ada", "email", alice, "password", alicesPassword)), "register", 200, "")
	if p := d.pages.last; !p.Sent || p.Email != alice {
		t.Errorf("the page is filled with %+v", p)
	}
	key := keyOf(d.mail(authcore.MailConfirm, alice))
	var v signedInView
	d.do("POST", "password/activate", fmt.Sprintf(`{"key":%q,"password":%q}`, key, alicesPassword)).ok(&v)
	if v.User.Name != "Ada" {
		t.Errorf("the name is %q", v.User.Name)
	}
	d.person(bob, bobsPassword)
	d.shown(d.send("forgot", formOf("email", bob)), "forgot", 200, "")
	if !d.pages.last.Sent {
		t.Error("it is not told that a mail is on its way")
	}
	d.mail(authcore.MailReset, bob)
	d.shown(d.send("forgot", formOf("email", "nonsense")), "forgot", 400, "invalid_email")
	d.shown(d.send("register", formOf("email", alice, "password", "short")), "register", 400, "weak_password")
	if p := d.pages.last; p.Sent || p.Problem.Reason() != "too_short" {
		t.Errorf("the page is filled with %+v", p)
	}
}

// Whoever has a mailbox of somebody else's in mind learns nothing of it by a form either.
func TestFormTellsNobodyWhoHasAnAccount(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	for _, page := range formPages {
		known := d.send(page, formOf("email", alice, "password", newPassword))
		unknown := d.send(page, formOf("email", "carol@example.com", "password", newPassword))
		if got := strings.ReplaceAll(unknown.Body.String(), "carol@example.com", alice); known.Code != unknown.Code || withoutCause(got) != withoutCause(known.Body.String()) {
			t.Errorf("%s: %d %s\nnot %d %s", page, known.Code, known.Body, unknown.Code, got)
		}
	}
}

// withoutCause leaves out addresses in memory and what is for the log only.
func withoutCause(page string) string {
	page, _, _ = strings.Cut(page, "Problem:")
	return page
}

// Too many tries get the same answer as a wrong password, and so does the right one then: guessing ends, unseen.
func TestFormOfSuspendedAccount(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	wrong := formOf("email", alice, "password", bobsPassword)
	first := d.shown(d.send("sign-in", wrong), "sign-in", 401, "invalid_credentials")
	for range 6 {
		d.send("sign-in", wrong)
	}
	d.shown(d.send("sign-in", wrong), "sign-in", 401, "invalid_credentials")
	right := d.shown(d.send("sign-in", formOf("email", alice, "password", alicesPassword)), "sign-in", 401, "invalid_credentials")
	if d.told("suspended") != 1 {
		t.Fatalf("told %q", d.seen.told)
	}
	for _, a := range []answer{first, right} {
		if a.Header().Get("X-Request-Id") == "" {
			t.Error("it has no number")
		}
		a.Header().Del("X-Request-Id") // another one for each
	}
	if !maps.EqualFunc(first.Header(), right.Header(), slices.Equal) || withoutCause(first.Body.String()) != withoutCause(right.Body.String()) {
		t.Errorf("%v %s\nnot %v %s", right.Header(), right.Body, first.Header(), first.Body)
	}
}

// Any page of the web can have a browser send a form to any other (sign-in CSRF: into an account of the attacker's, whose
// history then tells what was done). Unlike JSON, a form asks nobody before, so it counts only where the browser says that
// it is of this very site.
func TestFormOfAnotherSite(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	good := formOf("email", alice, "password", alicesPassword)
	for _, c := range []struct {
		name    string
		headers []string // "": leave out
		code    string
	}{
		{"another site", []string{"Origin", "https://evil.example"}, "cross_origin"},
		{"a sibling", []string{"Origin", "https://b.example.com"}, "cross_origin"},
		{"another port", []string{"Origin", home + ":8443"}, "cross_origin"},
		{"plain http", []string{"Origin", "http://app.example.com"}, "cross_origin"},
		{"a sandboxed frame", []string{"Origin", "null"}, "cross_origin"},
		{"an empty Origin", []string{"Origin", ""}, "cross_origin"},
		{"two Origins", []string{"Origin", home, "Origin", home}, "cross_origin"},
		{"metadata: cross-site", []string{"Sec-Fetch-Site", "cross-site"}, "cross_origin"},
		{"metadata: same-site", []string{"Sec-Fetch-Site", "same-site"}, "cross_origin"},
		{"metadata: a word to come", []string{"Sec-Fetch-Site", "same-planet"}, "cross_origin"},
		{"metadata twice", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, "cross_origin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, page := range append(formPages, "sign-out") {
				a := d.shown(d.send(page, good, c.headers...), "error", 403, c.code)
				if a.Header()["Set-Cookie"] != nil {
					t.Errorf("%s: a cookie is set: %q", page, a.Header()["Set-Cookie"])
				}
			}
		})
	}
	if got := d.mails(); len(got) > 0 {
		t.Errorf("mails were written: %+v", got)
	}
}

// A browser of before 2020 says nothing of where a form comes from, be it from here or from anywhere. So does who leaves
// that out on purpose, but has no browser of somebody else's to do so.
func TestFormOfNobodyKnowsWhere(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	good := formOf("email", alice, "password", alicesPassword)
	for name, headers := range map[string][]string{
		"an old browser":  {"Accept", "text/html", "Content-Type", formKind},
		"the address bar": {"Accept", "text/html", "Content-Type", formKind, "Sec-Fetch-Site", "none"},
		"metadata of how": {"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Content-Type", formKind},
	} {
		for _, page := range append(formPages, "sign-out") {
			a := d.shown(d.bare(page, good, headers...), "error", 403, "cross_origin")
			if a.Header()["Set-Cookie"] != nil {
				t.Errorf("%s, %s: a cookie is set: %q", name, page, a.Header()["Set-Cookie"])
			}
		}
	}
	for name, headers := range map[string][]string{
		"metadata without Origin": {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Content-Type", formKind},
		"Origin without metadata": {"Origin", home, "Accept", "text/html", "Content-Type", formKind},
		"with Unicode named":      {"Origin", home, "Accept", "text/html", "Content-Type", formKind + "; charset=UTF-8"},
	} {
		t.Run(name, func(t *testing.T) { d.bare("sign-in", good, headers...).went("/") })
	}
}

// Forms are for browsers: a script, and what a script of another site can send without asking, has no business with them.
func TestFormIsOfAPage(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	good := formOf("email", alice, "password", alicesPassword)
	for _, page := range formPages {
		for _, headers := range [][]string{
			{"Sec-Fetch-Mode", "cors"},
			{"Sec-Fetch-Mode", "no-cors"},
			{"Sec-Fetch-Mode", "same-origin"},
			{"Sec-Fetch-Dest", "embed"},
		} {
			d.send(page, good, headers...).refused(415, "unsupported_media_type")
		}
		for _, kind := range []string{
			"application/json", "text/plain", "multipart/form-data; boundary=x", "", "x",
			formKind + "; charset=iso-8859-1", formKind + "; charset=utf-16", formKind + "; charset=utf-8; x=y", formKind + "; charset", formKind + ", " + formKind,
		} {
			d.shown(d.send(page, good, "Content-Type", kind), "error", 415, "unsupported_media_type")
		}
		d.shown(d.send(page, good, "Content-Type", formKind, "Content-Type", formKind), "error", 415, "unsupported_media_type")
	}
	if got := d.mails(); len(got) > 0 || d.told("password ok") != 1 {
		t.Errorf("mails %+v, told %q", got, d.seen.told)
	}
}

func TestMalformedForm(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	good := formOf("email", alice, "password", alicesPassword)
	for name, form := range map[string]string{
		"an escape cut off":        good + "&x=%4",
		"an escape of no number":   good + "&x=%zz",
		"a semicolon":              good + ";x=1",
		"a field twice":            good + "&password=" + url.QueryEscape(alicesPassword),
		"another value first":      "email=" + url.QueryEscape(bob) + "&" + good,
		"no value and a value":     "password=&" + good,
		"where to go twice":        good + "&return_to=/a&return_to=/b",
		"an unknown field twice":   good + "&x=1&x=1",
		"a password of no Unicode": "email=" + url.QueryEscape(alice) + "&password=%ff%fe",
		"half a surrogate":         good + "&x=%ed%a0%80",
	} {
		t.Run(name, func(t *testing.T) {
			d.shown(d.send("sign-in", form), "error", 400, "invalid_request")
			if strings.Contains(d.pages.last.Problem.Error(), "%") {
				t.Errorf("the cause has what was sent: %s", d.pages.last.Problem.Error())
			}
		})
	}
	// What is no field of the form changes nothing: neither how the sign-in ends nor who opens an account.
	more := "&session=&receipt=x&invite=y&roles=admin&Email=" + url.QueryEscape(bob) + "&email%00=z&key=k"
	a := d.send("sign-in", good+more).went("/")
	if d.signedInAs(a.jar(sessionCookie)) == "" {
		t.Error("nobody is signed in")
	}
	d.shown(d.send("register", formOf("email", bob, "password", bobsPassword)+more), "register", 200, "")
	d.mail(authcore.MailConfirm, bob)
	for _, empty := range []string{"", "&&", "email=&password="} {
		d.shown(d.send("sign-in", empty), "sign-in", 401, "invalid_credentials")
		d.shown(d.send("forgot", empty), "forgot", 400, "invalid_email")
	}
}

func TestFormTooLarge(t *testing.T) {
	d := newDesk(t)
	large := formOf("email", alice, "password", alicesPassword, "x", strings.Repeat("x", maxBody))
	for _, page := range formPages {
		d.shown(d.send(page, large), "error", 413, "too_large")
		// Without a length beforehand.
		d.pages.last = nil
		r := d.request("POST", page, "", browser()...)
		r.Body, r.ContentLength = io.NopCloser(endless{}), -1
		d.shown(d.serve(r), "error", 413, "too_large")
		// Not even begun where the length says so.
		r = d.request("POST", page, "", browser()...)
		r.Body, r.ContentLength = unread{t}, maxBody+1
		d.shown(d.serve(r), "error", 413, "too_large")
	}
}

// endless is a body without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// An open redirect at the door of a site is what phishing wishes for.
func TestFormLeadsNowhereElse(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	for to, want := range map[string]string{
		"":                         "/",
		"/reports":                 "/reports",
		"https://evil.example/":    "/",
		"//evil.example":           "/",
		`/\evil.example`:           "/",
		"/\t/evil.example":         "/",
		"/a\r\nSet-Cookie: x=y":    "/",
		"/.//evil.example":         "/",
		"/%2e%2e//evil.example":    "/",
		"javascript:alert(1)":      "/",
		"#top":                     "/",
		"/a#//evil.example":        "/a#//evil.example",
		"/grüße":                   "/gr%C3%BC%C3%9Fe",
		"/auth/sign-in?return_to=": "/",
		strings.Repeat("/a", 2000): "/",
	} {
		d.send("sign-in", formOf("email", alice, "password", alicesPassword, "return_to", to)).went(want)
		d.send("sign-in", formOf("email", alice, "password", bobsPassword, "return_to", to))
		if got := d.pages.last.ReturnTo; got != want {
			t.Errorf("%q: the page once more leads to %q", to, got)
		}
		d.send("sign-in", formOf("email", alice, "password", alicesPassword)).went("/") // which ends the count of wrong ones
		out := d.send("sign-out?return_to="+url.QueryEscape(to), "").Header().Get("Location")
		if out != "/auth/sign-in?return_to="+url.QueryEscape(want)+"#signed-out" {
			t.Errorf("%q: signing out leads to %q", to, out)
		}
	}
}

// A password goes into no page, header, address or log, whatever the answer is.
func TestFormKeepsThePassword(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	cookie := d.send("sign-in", formOf("email", alice, "password", alicesPassword)).jar(sessionCookie)
	const secret = "Xylophone-42-quagmire"
	answers := []answer{
		d.send("sign-in", formOf("email", alice, "password", secret)),
		d.send("sign-in", formOf("username", alice, "password", secret), cookie...),
		d.send("sign-in", formOf("email", "nonsense", "password", secret)),
		d.send("sign-in", formOf("email", alice, "password", secret, "x", "%")+"&%"),
		d.send("sign-in", formOf("email", alice, "password", secret)+"&password=x"),
		d.send("sign-in", formOf("email", alice, "password", secret), "Origin", "null"),
		d.send("register", formOf("email", "nonsense", "password", secret)),
		d.send("register", formOf("email", bob, "password", secret)),
		d.send("register", formOf("email", bob, "password", secret[:9])),
		d.send("register", formOf("email", bob, "password", secret, "name", "\x01")),
		d.send("forgot", formOf("email", alice, "password", secret)),
	}
	d.faults.breakDown("CountLockout", "UserByEmail", "AddMail")
	answers = append(answers, d.send("sign-in", formOf("email", alice, "password", secret)), d.send("register", formOf("email", bob, "password", secret)))
	for i, a := range answers {
		if all := fmt.Sprint(a.Body, a.Header()); strings.Contains(all, secret[:9]) {
			t.Errorf("%d: %d %s", i, a.Code, all)
		}
		if a.Code < 200 || a.Code == 303 {
			t.Errorf("%d: answered %d", i, a.Code)
		}
	}
	if strings.Contains(d.log.String(), secret[:9]) || strings.Contains(fmt.Sprint(d.seen.told), secret[:9]) {
		t.Errorf("the log has it: %s", d.log)
	}
}

// Whoever is signed in confirms by the form; the page named who that is. In another window somebody else may have signed
// in since: his session must not be the one that counts as confirmed, and guesses at the first must not count against him.
func TestFormConfirmsWhoItNames(t *testing.T) {
	fresh := func(c *RealmConfig, _ *Site) { c.Fresh = time.Minute }
	d := newDesk(t, fresh)
	d.person(alice, alicesPassword)
	d.person(bob, bobsPassword)
	in := func(email, secret string) []string {
		return d.send("sign-in", formOf("email", email, "password", secret)).jar(sessionCookie)
	}
	cookie := in(alice, alicesPassword)
	who := d.signedInAs(cookie)
	d.now = d.now.Add(2 * time.Minute)
	a := d.send("sign-in", formOf("username", alice, "password", alicesPassword, "return_to", "/reports"), cookie...).went("/reports")
	if after := a.jar(sessionCookie); secretOf(after) != secretOf(cookie) || d.signedInAs(after) != who {
		t.Error("who confirms has another session")
	}
	d.shown(d.send("sign-in", formOf("username", alice, "password", bobsPassword), cookie...), "sign-in", 401, "invalid_credentials")
	if p := d.pages.last; p.Identity == nil || p.Identity.Subject != who {
		t.Errorf("the page is for %+v", p.Identity)
	}

	bobs := in(bob, bobsPassword)
	// Guesses at one are none at the other.
	for range 8 {
		d.shown(d.send("sign-in", formOf("username", alice, "password", "wrong"), bobs...), "sign-in", 401, "invalid_credentials")
	}
	d.send("sign-in", formOf("username", bob, "password", bobsPassword), bobs...).went("/")
	if d.told("suspended") != 1 {
		t.Errorf("told %q", d.seen.told)
	}
	d.mail(authcore.MailSuspended, alice)
	// A form of the page to sign in, which was there before bob signed in beside it.
	carol := d.person("carol@example.com", newPassword).User.ID
	a = d.send("sign-in", formOf("email", "carol@example.com", "password", newPassword), bobs...).went("/")
	if got := d.signedInAs(a.jar(sessionCookie)); got != carol {
		t.Errorf("signed in as %q, not carol", got)
	}
	if d.signedInAs(bobs) != "" {
		t.Error("the session that was replaced goes on")
	}
}

// secretOf is the part of a cookie that says which session it is.
func secretOf(cookie []string) string {
	secret, _, _ := strings.Cut(cookie[1], ".")
	return secret
}

// Whoever planted a cookie before (session fixation) holds nothing after.
func TestFormReplacesTheSession(t *testing.T) {
	d := newDesk(t)
	alices := d.person(alice, alicesPassword).User.ID
	planted := d.signInCookie(newSigner(1))
	a := d.send("sign-in", formOf("email", alice, "password", alicesPassword), planted...).went("/")
	cookie := a.jar(sessionCookie)
	if secretOf(cookie) == secretOf(planted) || d.signedInAs(cookie) != alices {
		t.Error("the session is the planted one")
	}
	if d.signedInAs(planted) != "" {
		t.Error("the planted session goes on")
	}
}

func TestFormSignsOut(t *testing.T) {
	d := newDesk(t)
	cookie := d.signInCookie(newSigner(1))
	a := d.send("sign-out?return_to=%2Freports", "", cookie...).went("/auth/sign-in?return_to=%2Freports#signed-out")
	if value, set := a.cookie(); value != "" || !set {
		t.Errorf("the cookie is %q", value)
	}
	if d.signedInAs(cookie) != "" {
		t.Error("still signed in")
	}
	cookie = d.signInCookie(newSigner(1))
	d.faults.breakDown("EndSession")
	a = d.shown(d.send("sign-out", "", cookie...), "error", 503, "unavailable")
	if value, set := a.cookie(); value != "" || !set || a.Header().Get("Retry-After") == "" {
		t.Errorf("the cookie is %q, headers %v", value, a.Header())
	}
}

// A client that sends too many is told so by a page, before what it sent is read.
func TestFormsAreLimited(t *testing.T) {
	for _, page := range formPages {
		d := newDesk(t, func(c *RealmConfig, _ *Site) { c.RateLimit = RateLimit{Count: 2, Window: time.Minute} })
		for range 2 {
			d.send(page, "email=x&password=y")
		}
		r := d.request("POST", page, "", browser()...)
		r.Body, r.ContentLength = unread{t}, 10
		d.pages.last = nil
		a := d.shown(d.serve(r), "error", 429, "too_many_requests")
		if a.Header().Get("Retry-After") != "60" {
			t.Errorf("%s: %v", page, a.Header())
		}
		if page == "sign-in" && d.told("password too_many_requests") != 1 {
			t.Errorf("told %q", d.seen.told)
		}
		d.now = d.now.Add(time.Minute)
		d.send(page, "email=x&password=y")
		if name := d.pages.last.Name; name != page {
			t.Errorf("page %s after the minute", name)
		}
		d.faults.breakDown("CountAttempt")
		d.shown(d.send(page, "email=x&password=y"), "error", 503, "unavailable")
	}
}

func TestFormWhileTheStoreIsDown(t *testing.T) {
	d := newDesk(t)
	d.person(alice, alicesPassword)
	d.mails()
	d.faults.breakDown("UserByEmail", "CountLockout", "AddMail")
	for _, page := range formPages {
		a := d.shown(d.send(page, formOf("email", alice, "password", alicesPassword)), "error", 503, "unavailable")
		if a.Header().Get("Retry-After") != retryAfter || a.Header()["Set-Cookie"] != nil || strings.Contains(d.pages.last.Problem.Detail, "10.9.8.7") {
			t.Errorf("%s: %v %s", page, a.Header(), d.pages.last.Problem.Detail)
		}
	}
	d.faults.repair()
	if d.send("sign-in", formOf("email", alice, "password", alicesPassword)).went("/"); d.told("password unavailable") != 1 {
		t.Errorf("told %q", d.seen.told)
	}
}

// Forms are of pages that are there: without passwords, or without pages, nobody takes one.
func TestFormsAreWherePagesAre(t *testing.T) {
	d := newDesk(t, func(c *RealmConfig, s *Site) { s.Methods = []authcore.Method{authcore.Wallet} })
	for page, want := range map[string]int{"sign-in": 405, "register": 404, "forgot": 404} {
		if a := d.send(page, ""); a.Code != want {
			t.Errorf("%s: answered %d, want %d", page, a.Code, want)
		}
	}
	d = newDesk(t, func(_ *RealmConfig, s *Site) { s.Pages = nil })
	for _, page := range formPages {
		d.send(page, "").refused(404, "not_found")
	}
}

// Data of the first flight of TLS 1.3 can be sent again by whoever saw it.
func TestReplayedForm(t *testing.T) {
	d := newDesk(t)
	for _, page := range append(formPages, "sign-out") {
		d.shown(d.send(page, "", "Early-Data", "1"), "error", 425, "too_early")
	}
}

func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"", "email=a%40b.example&password=x+y%26z", "a=1&a=2", "a=&a=1", "%zz=1", "a;b=1", "a=%ff", "%ff=1", "=x", "a=%00", "&&=&", "a==b", "email=%F0%9F%94%91",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		fields, err := parseForm(body)
		if err != nil {
			if s := err.Error(); s != "gateway: form: not urlencoded" && s != "gateway: form: a field is there twice" && s != "gateway: form: not UTF-8" {
				t.Errorf("the cause may have what was sent: %s", s)
			}
			return
		}
		values := url.Values{}
		for name, value := range fields {
			if value == "" {
				t.Errorf("%q is empty", name)
			}
			values.Set(name, value)
		}
		again, err := parseForm(values.Encode())
		if err != nil || !maps.Equal(again, fields) {
			t.Errorf("%q: %v, %v, want %v", values.Encode(), again, err, fields)
		}
		// What goes on as JSON is what was sent, in the fields that forms have.
		r, _ := http.NewRequest("POST", "/", nil)
		var members map[string]string
		b, _ := io.ReadAll(asJSON(r, fields).Body)
		if err := json.NewDecoder(bytes.NewReader(b)).Decode(&members); err != nil {
			t.Fatal(err)
		}
		for name, value := range members {
			if name != "session" && (!slices.Contains(formFields, name) || value != fields[name]) {
				t.Errorf("%s is %q", name, value)
			}
		}
	})
}
