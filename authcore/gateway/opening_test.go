package gateway

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/session"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

// notedWire is a wire that notes what goes over it.
type notedWire struct {
	wire
	sent []authcore.Notice
}

func (c *notedWire) Notify(ctx context.Context, n authcore.Notice) error {
	c.sent = append(c.sent, n)
	return c.wire.Notify(ctx, n)
}

// open opens sessions of a user, as sign-ins elsewhere do, but without a bound.
func (h *house) open(userID string, n int, from authcore.Session) (ids []string) {
	h.t.Helper()
	for range n {
		s, _, err := h.realm.sessions.Open(h.t.Context(), session.Opening{
			UserID: userID, Origin: home, Use: authcore.MethodUse{Method: authcore.Wallet}, Cookie: true, From: from,
		})
		if err != nil {
			h.t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	return ids
}

// reaches answers what the backend's door says, which believes an access token without asking the store.
func (h *house) reaches(headers []string) int {
	h.t.Helper()
	r := h.request("GET", "", "", headers...)
	r.URL.Path = "/reports"
	return h.serve(r).Code
}

func (h *house) sessionsOf(userID string) []authcore.Session {
	h.t.Helper()
	all, err := h.store.SessionsOf(h.t.Context(), userID, h.now)
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// Whoever signs in over and over, without any role, made an account with so many sessions that none of them could be ended
// any more. Now the one used longest ago ends by each more, on all instances and at once: its access token has not expired.
func TestSessionsOfAUserAreBounded(t *testing.T) {
	for name, instances := range map[string]func() (a, b *house){
		"notices of the challenge store": func() (*house, *house) { a, b, _ := instances(t); return a, b },
		"notices of the store":           func() (*house, *house) { return storeInstances(t) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := instances()
			now := func(at time.Duration) { a.now = a.now.Add(at); b.now = a.now }
			used := a.signInCookie(newSigner(1))
			now(time.Minute)
			unused := a.signInCookie(newSigner(1))
			id, gone := a.signedInAs(unused), a.sessionsOf(a.signedInAs(unused))[1].ID
			now(time.Minute)
			a.open(id, authcore.MostSessions-2, authcore.Session{})
			other := a.signInCookie(newSigner(2))
			now(a.realm.AccessToken - 90*time.Second)
			if a.reaches(used) != 418 || a.reaches(unused) != 418 || b.reaches(unused) != 418 { // the first is renewed, and so was used since
				t.Fatal("not signed in")
			}
			latest := a.signInCookie(newSigner(1))
			for i, h := range []*house{a, b} {
				eventually(t, func() bool { return h.reaches(unused) == 401 })
				if h.reaches(used) != 418 || h.reaches(latest) != 418 || h.reaches(other) != 418 {
					t.Errorf("instance %d: %d %d %d", i, h.reaches(used), h.reaches(latest), h.reaches(other))
				}
			}
			if n := len(a.sessionsOf(id)); n != authcore.MostSessions {
				t.Errorf("%d sessions", n)
			}
			all := a.events(authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventSessionEnded}, Limit: 10})
			if len(all) != 1 || all[0].Code != "too_many" || all[0].Subject != id || all[0].Detail != "session "+gone {
				t.Errorf("events %+v", all)
			}
		})
	}
}

// An account of before the bound, with more sessions than one notice each can tell of, has no more than others after the next
// sign-in.
func TestSignInEndsWhatIsBeyondTheBound(t *testing.T) {
	a, b, _ := instances(t)
	unused := a.signInCookie(newSigner(1))
	id := b.signedInAs(unused)
	a.now = a.now.Add(time.Second)
	b.now = a.now
	a.open(id, 3*authcore.MostSessions, authcore.Session{})
	latest := a.signInCookie(newSigner(1))
	if n := len(a.sessionsOf(id)); n != authcore.MostSessions {
		t.Errorf("%d sessions", n)
	}
	for i, h := range []*house{a, b} {
		if gone, is := h.reaches(unused), h.reaches(latest); gone != 401 || is != 418 {
			t.Errorf("instance %d: %d %d", i, gone, is)
		}
	}
}

// Sessions at other sites count like any other, whoever comes back with code after code and no cookie; and the one that they
// come from, which is used through them, stays.
func TestHandedOverSessionsAreBounded(t *testing.T) {
	d, b := handedOver(t)
	user, at := b.who(home)
	first := b.cookies[shop]
	for range authcore.MostSessions + 10 {
		d.now = d.now.Add(bounceWindow)
		delete(b.cookies, shop)
		b.at(b.visit(shop+"/cart"), shop+"/cart")
	}
	all := d.sessionsOf(user)
	if len(all) != authcore.MostSessions || !slices.ContainsFunc(all, func(s authcore.Session) bool { return s.ID == at }) {
		t.Errorf("%d sessions", len(all))
	}
	b.cookies[shop] = first
	if is, _ := b.who(shop); is != "" {
		t.Error("the first one goes on")
	}
	if is, session := b.who(home); is != user || session != at {
		t.Errorf("at home %q in %q, want %q in %q", is, session, user, at)
	}
}

// Each code makes a session and an event, and asks nobody anything: one user gets so many of them in a minute. Others go on,
// and so does the user after that.
func TestHandOffsAreLimited(t *testing.T) {
	d, b := handedOver(t)
	other := d.browser()
	other.visit(home + "/auth/sign-in")
	other.signIn(newSigner(2))
	d.now = d.now.Add(handOffWindow)
	asked, theirs := b.until(blog+"/x", home), other.until(blog+"/x", home)
	for i := range handOffsPerUser {
		if a, next := b.step(asked); !strings.Contains(next, "code=") {
			t.Fatalf("%d: answered %d, led to %q", i, a.Code, next)
		}
	}
	a, next := b.step(asked)
	if a.Code != 429 || next != "" || a.Header().Get("Retry-After") == "" {
		t.Errorf("answered %d, led to %q", a.Code, next)
	}
	if _, next := other.step(theirs); !strings.Contains(next, "code=") {
		t.Errorf("somebody else is led to %q", next)
	}
	d.now = d.now.Add(handOffWindow)
	if _, next := b.step(asked); !strings.Contains(next, "code=") {
		t.Errorf("a minute later led to %q", next)
	}
}

// A browser that opens all its tabs of a site at once is handed over as often, and is not going in circles.
func TestManyTabsComeBackAtOnce(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	var codes []string
	for i := range 3 * maxBounces {
		codes = append(codes, b.until(fmt.Sprintf("%s/tab/%d", shop, i), "code="))
	}
	bond := b.cookies[shop]
	for i, code := range codes {
		b.cookies[shop] = map[string]string{} // sent before any answer came
		for name, value := range bond {
			b.cookies[shop][name] = value
		}
		if _, next := b.step(code); next != fmt.Sprintf("%s/tab/%d", shop, i) {
			t.Errorf("tab %d is led to %q", i, next)
		}
	}
}

// The end of more sessions than a user has by now is told by one notice beside those of the others, and counts elsewhere as
// that of one does.
func TestEndOfManySessions(t *testing.T) {
	for name, end := range map[string]func(a *house, id, sid string) error{
		"ended":   func(a *house, id, _ string) error { return a.realm.EndSessions(a.t.Context(), operatorTrace, id) },
		"disable": func(a *house, id, _ string) error { return a.realm.Disable(a.t.Context(), operatorTrace, id, false) },
		"delete":  func(a *house, id, _ string) error { return a.realm.Delete(a.t.Context(), operatorTrace, id, false) },
		"ended already": func(a *house, id, _ string) error {
			ended, err := a.store.EndSessionsOf(a.t.Context(), id, "", 0, a.now)
			a.realm.haveEnded(a.t.Context(), id, ended)
			return err
		},
		"handed over": func(a *house, _, sid string) error {
			return a.realm.endSession(a.t.Context(), sessionEnd{kind: authcore.EventSignOut}, sid)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &notedWire{}
			a := build(t, func(c *RealmConfig, _ *Site) { c.Challenges.Notices = w })
			b := a.twin()
			a.realm.Listen(t.Context())
			b.realm.Listen(t.Context())
			cookie := a.signInCookie(newSigner(1))
			id := b.signedInAs(cookie)
			from := a.sessionsOf(id)[0]
			a.open(id, 2*authcore.MostSessions, from)
			a.now = a.now.Add(time.Second) // the last of all, and not among those that are told of one by one
			s, secret, err := a.realm.sessions.Open(t.Context(), session.Opening{UserID: id, Origin: home, From: from, Cookie: true})
			if err != nil {
				t.Fatal(err)
			}
			_, access, _, err := a.gateway.access(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			late := []string{"Cookie", a.gateway.cookie.name + "=" + secret + "." + access}
			for _, h := range []*house{a, b} {
				if h.reaches(late) != 418 || h.reaches(cookie) != 418 {
					t.Fatal("not signed in")
				}
			}
			w.sent = nil
			if err := end(a, id, from.ID); err != nil {
				t.Fatal(err)
			}
			if n := len(a.sessionsOf(id)); n != 0 {
				t.Errorf("%d sessions are left", n)
			}
			for i, h := range []*house{a, b} {
				if h.reaches(late) != 401 || h.reaches(cookie) != 401 {
					t.Errorf("instance %d believes in what has ended", i)
				}
			}
			if n := len(w.sent); n > authcore.MostSessions+2 {
				t.Errorf("told by %d notices", n)
			}
		})
	}
}

// An account that had made itself too many sessions for one transaction to end one by one went on after it was disabled in
// vain. It is done in the time that the store gives a transaction.
func TestAccountOfVeryManySessionsIsDisabled(t *testing.T) {
	const many = 20000
	for name, on := range map[string]func(t *testing.T) (h *house, fill func(userID string)){
		"memory": func(t *testing.T) (*house, func(string)) {
			h := build(t)
			return h, func(userID string) { h.open(userID, many, authcore.Session{}) }
		},
		"SQLite": func(t *testing.T) (*house, func(string)) {
			file := filepath.Join(t.TempDir(), "a.db")
			store, err := sqlitestore.Open(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			h := build(t, func(c *RealmConfig, _ *Site) { c.Stores = store.Stores() })
			return h, func(string) {
				db, err := sql.Open("sqlite", file)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				const others = `user_id, origin, cookie, secret_hash, refresh_current, refresh_previous, refresh_salt, refresh_rotated,
					methods, created, last_seen, idle_until, absolute_until, expires, client_ip, user_agent, version`
				if _, err := db.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
					INSERT INTO sessions (id, `+others+`) SELECT 'copy ' || i, `+others+` FROM sessions, n`, many); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, fill := on(t)
			me := h.signInTokens(newSigner(1))
			fill(me.User.ID)
			if err := h.realm.Disable(t.Context(), operatorTrace, me.User.ID, false); err != nil {
				t.Fatal(err)
			}
			all, err := h.realm.Stores.Sessions.SessionsOf(t.Context(), me.User.ID, h.now)
			if u, failed := h.realm.Stores.Users.User(t.Context(), me.User.ID); err != nil || failed != nil || len(all) != 0 || !u.Disabled {
				t.Errorf("%d sessions are left; %v, %v", len(all), err, failed)
			}
			if code := h.reaches(me.bearer()); code != 401 {
				t.Errorf("answered %d", code)
			}
		})
	}
}
