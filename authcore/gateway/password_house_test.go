package gateway

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/password"
)

// cheap is a hasher for tests that are not about hashing.
func cheap() *password.Hasher { return &password.Hasher{Memory: 8, Time: 1} }

func passwordsOn(c *RealmConfig, _ *Site) {
	c.Password, c.Mail = &PasswordConfig{Hasher: cheap()}, &MailConfig{}
}

const (
	alice, bob = "alice@example.com", "bob@example.com"

	alicesPassword = "tramway copper lantern 9"
	bobsPassword   = "orchard Velvet-41 ravine"
	newPassword    = "quarry, marble & heron 27"
)

// mails answers the mails that were written since the last call, but for decoys.
func (h *house) mails() []authcore.Mail {
	h.t.Helper()
	ctx, box := h.t.Context(), h.store.Stores().Outbox
	var mails []authcore.Mail
	for {
		claimed, err := box.ClaimMails(ctx, 50, h.now, h.now.Add(1))
		if err != nil {
			h.t.Fatal(err)
		}
		if len(claimed) == 0 {
			return mails
		}
		for _, m := range claimed {
			opened, err := h.realm.OpenMail(ctx, m)
			if err != nil {
				h.t.Fatal(err)
			}
			if opened.Kind != authcore.MailDecoy {
				mails = append(mails, opened)
			}
			if err := box.DeleteMail(ctx, m); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// mail answers the one mail that was written since the last call.
func (h *house) mail(kind authcore.MailKind, to string) authcore.Mail {
	h.t.Helper()
	mails := h.mails()
	if len(mails) != 1 || mails[0].Kind != kind || mails[0].To != to {
		h.t.Fatalf("mails are %+v, want one of %s to %s", mails, kind, to)
	}
	return mails[0]
}

// kinds answers what mails were written since the last call and to whom, in the order of words.
func (h *house) kinds() []string {
	h.t.Helper()
	var all []string
	for _, m := range h.mails() {
		all = append(all, string(m.Kind)+" "+m.To)
	}
	slices.Sort(all)
	return all
}

func keyOf(m authcore.Mail) string {
	_, key, _ := strings.Cut(m.Link, "#")
	return key
}

// accepted checks for 202 and an empty body.
func (a answer) accepted() answer {
	a.t.Helper()
	if a.Code != http.StatusAccepted || a.Body.Len() > 0 {
		a.t.Fatalf("answered %d: %s", a.Code, a.Body)
	}
	return a
}

// done checks for 204.
func (a answer) done() answer {
	a.t.Helper()
	if a.Code != http.StatusNoContent {
		a.t.Fatalf("answered %d: %s", a.Code, a.Body)
	}
	return a
}

// cookies answers what a browser would send back of what was set, by name.
func (a answer) cookies() map[string]string {
	a.t.Helper()
	set := make(map[string]string)
	for _, line := range a.Header()["Set-Cookie"] {
		pair, attrs, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		if _, twice := set[name]; twice {
			a.t.Fatalf("%s is set twice: %q", name, a.Header()["Set-Cookie"])
		}
		if strings.Contains(attrs, "Max-Age=0") {
			value = ""
		}
		set[name] = value
	}
	return set
}

const (
	sessionCookie = "__Host-authgate"
	deviceCookie  = "__Host-authgate-device"
)

// jar answers the header by which a browser sends back the session cookie, the device cookie or both.
func (a answer) jar(names ...string) []string {
	a.t.Helper()
	var pairs []string
	set := a.cookies()
	for _, n := range names {
		if set[n] == "" {
			a.t.Fatalf("%s is not set: %q", n, a.Header()["Set-Cookie"])
		}
		pairs = append(pairs, n+"="+set[n])
	}
	return []string{"Cookie", strings.Join(pairs, "; ")}
}

// asked registers and answers the mailed key.
func (h *house) asked(email, secret string) (key string) {
	h.t.Helper()
	h.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q}`, email, secret)).accepted()
	return keyOf(h.mail(authcore.MailConfirm, email))
}

// enrol opens an account with an address and a password; more holds further members of the last request.
func (h *house) enrol(email, secret, more string) answer {
	h.t.Helper()
	return h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q%s}`, h.asked(email, secret), more))
}

// person opens an account with an address and a password, as programs do.
func (h *house) person(email, secret string) (v signedInView) {
	h.t.Helper()
	h.enrol(email, secret, "").ok(&v)
	return v
}

const withCookie = `,"session":"cookie"`

// knock signs in with a password.
func (h *house) knock(email, secret, more string, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "password/sign-in", fmt.Sprintf(`{"email":%q,"password":%q%s}`, email, secret, more), headers...)
}

// forgot asks for a new password and answers the mailed key.
func (h *house) forgot(email string) (key string) {
	h.t.Helper()
	h.do("POST", "password/forgot", fmt.Sprintf(`{"email":%q}`, email)).accepted()
	return keyOf(h.mail(authcore.MailReset, email))
}

// reset sets a new password with a mailed key.
func (h *house) reset(key, secret, more string, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "password/reset", fmt.Sprintf(`{"key":%q,"password":%q%s}`, key, secret, more), headers...)
}

// moveTo gives whoever is signed in another address.
func (h *house) moveTo(email string, headers ...string) {
	h.t.Helper()
	h.do("POST", "email/request", fmt.Sprintf(`{"email":%q}`, email), headers...).accepted()
	key := keyOf(h.mail(authcore.MailConfirmEmail, email))
	h.do("POST", "email/confirm", fmt.Sprintf(`{"key":%q}`, key), headers...).ok(new(map[string]any))
}

// sameAs checks that two answers cannot be told apart, but for the time of waiting and the number of each, which is random.
func (a answer) sameAs(b answer, what string) {
	a.t.Helper()
	if a.Code != b.Code || !bytes.Equal(a.Body.Bytes(), b.Body.Bytes()) {
		a.t.Errorf("%s: %d %s, not %d %s", what, a.Code, a.Body, b.Code, b.Body)
	}
	if len(a.Header()) != len(b.Header()) {
		a.t.Errorf("%s: headers %v, not %v", what, a.Header(), b.Header())
	}
	for name, lines := range a.Header() {
		if name == "X-Request-Id" && len(lines) == 1 && len(b.Header()[name]) == 1 && len(lines[0]) == len(b.Header()[name][0]) {
			continue
		}
		if !slices.Equal(lines, b.Header()[name]) {
			a.t.Errorf("%s: %s is %q, not %q", what, name, lines, b.Header()[name])
		}
	}
}

// backend answers the request as the backend gets it, nil where it does not.
func (h *house) backend(headers []string) (got *http.Request) {
	h.t.Helper()
	r := h.request("GET", "", "", headers...)
	r.URL.Path = "/reports"
	r.TLS.HandshakeComplete = true
	w := recorded(func(w http.ResponseWriter) {
		h.gateway.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r })).ServeHTTP(w, r)
	})
	if got == nil && w.Code == http.StatusOK {
		h.t.Fatal("nobody answered")
	}
	return got
}

// told counts what the observer was told.
func (h *house) told(what string) (n int) {
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	for _, t := range h.seen.told {
		if t == what {
			n++
		}
	}
	return n
}
