package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// wire carries notices between the instances of a test, in the caller's goroutine.
type wire struct {
	to  []authcore.Listener
	err error
}

func (w *wire) Notify(ctx context.Context, n authcore.Notice) error {
	if err := errors.Join(w.err, ctx.Err()); err != nil {
		return err
	}
	for _, l := range w.to {
		l.Heard(n)
	}
	return nil
}

func (w *wire) Listen(_ context.Context, to authcore.Listener) { w.to = append(w.to, to) }

// instances answers two instances on one store, joined by a wire.
func instances(t *testing.T, change ...func(*RealmConfig, *Site)) (a, b *house, w *wire) {
	t.Helper()
	w = &wire{}
	a = build(t, append(change, func(c *RealmConfig, _ *Site) { c.Challenges.Notices = w })...)
	b = a.twin()
	a.realm.Listen(t.Context())
	b.realm.Listen(t.Context())
	return a, b, w
}

// twin is another instance on the stores of h, that remembers nothing of what h does.
func (h *house) twin() *house {
	h.t.Helper()
	other := *h
	c := h.realm.RealmConfig
	c.State = NewState()
	var err error
	if other.realm, err = NewRealm(c); err != nil {
		h.t.Fatal(err)
	}
	other.realm.State.born.Store(h.realm.State.born.Load())
	if other.gateway, err = New(other.realm, h.gateway.site); err != nil {
		h.t.Fatal(err)
	}
	return &other
}

// Who signs out on one instance is signed out on all, with a token that another one has verified and remembers.
func TestSignOutHoldsOnOtherInstances(t *testing.T) {
	a, b, _ := instances(t)
	me := a.signInTokens(newSigner(1)).bearer()
	other := a.signInTokens(newSigner(2)).bearer()
	if b.signedInAs(me) == "" || b.signedInAs(other) == "" {
		t.Fatal("the other instance does not know them")
	}
	over := b.openStream(me)
	if code := a.do("POST", "sign-out", "", me...).Code; code != http.StatusNoContent {
		t.Fatalf("sign-out answered %d", code)
	}
	if b.signedInAs(me) != "" {
		t.Error("signed in on the other instance")
	}
	mustEnd(t, over)
	if b.signedInAs(other) == "" {
		t.Error("somebody else was signed out")
	}
}

// A sign-out of which the other instances could not be told is not acknowledged, and can be tried again.
func TestSignOutThatCannotBeToldIsNotAcknowledged(t *testing.T) {
	a, b, w := instances(t)
	me := a.signInCookie(newSigner(1))
	if b.signedInAs(me) == "" {
		t.Fatal("not signed in")
	}
	w.err = errors.New("connection refused")
	a.do("POST", "sign-out", "", me...).refused(503, "unavailable")
	w.err = nil
	if code := a.do("POST", "sign-out", "", me...).Code; code != http.StatusNoContent {
		t.Fatalf("the second try answered %d", code)
	}
	if a.signedInAs(me) != "" || b.signedInAs(me) != "" {
		t.Error("still signed in")
	}
}

// A refresh token that was used twice ends its family, with the access tokens that a thief has verified elsewhere.
func TestReuseHoldsOnOtherInstances(t *testing.T) {
	a, b, _ := instances(t)
	first := a.signInTokens(newSigner(1))
	if b.signedInAs(first.bearer()) == "" {
		t.Fatal("not signed in")
	}
	refresh := fmt.Sprintf(`{"refresh_token":%q}`, first.RefreshToken)
	var next signedInView
	a.do("POST", "token/refresh", refresh).ok(&next)
	a.now = a.now.Add(time.Minute)
	a.do("POST", "token/refresh", refresh).refused(401, "invalid_grant")
	if b.signedInAs(first.bearer()) != "" || b.signedInAs(next.bearer()) != "" {
		t.Error("access tokens of the family count on the other instance")
	}
}

// A role that is taken away is gone on all instances, for who is signed in and for streams that are open.
func TestRoleChangeHoldsOnOtherInstances(t *testing.T) {
	rules := func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{{Roles: []string{"reader"}, Paths: []string{"/events"}}}
	}
	a, b, _ := instances(t, rules)
	s := a.signInCookie(newSigner(1))
	id := a.signedInAs(s)
	a.setRoles(id, "reader")
	a.realm.changed(t.Context(), id)
	a.now = a.now.Add(time.Second)
	b.now = a.now
	over := b.openStream(s)
	a.setRoles(id)
	a.realm.changed(t.Context(), id)
	mustEnd(t, over)
	r := b.request("GET", "", "", s...)
	r.URL.Path = "/events"
	b.serve(r).refused(403, "forbidden")
}

// What is done already is told to the other instances, also where the client who had it done hangs up before.
func TestHangingUpKeepsNothingFromOtherInstances(t *testing.T) {
	a, b, _ := instances(t)
	me := a.signInTokens(newSigner(1)).bearer()
	id := b.signedInAs(me)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	a.realm.changed(gone, id)
	if outdated, _ := b.realm.State.outdates(&ticket{identity: &authcore.Identity{Subject: id}, issued: b.now}); !outdated {
		t.Error("the other instance has not heard of the change")
	}
	open, err := a.store.SessionsOf(t.Context(), id, a.now)
	if err != nil || len(open) != 1 {
		t.Fatalf("%d sessions, %v", len(open), err)
	}
	a.realm.haveEnded(gone, id, []string{open[0].ID})
	if !b.realm.State.isEnded(open[0].ID) {
		t.Error("the other instance has not heard of the end")
	}
}

func (h *house) setRoles(userID string, roles ...string) {
	h.t.Helper()
	u, err := h.store.User(h.t.Context(), userID)
	if err != nil {
		h.t.Fatal(err)
	}
	u.Roles = roles
	if err := h.store.UpdateUser(h.t.Context(), u); err != nil {
		h.t.Fatal(err)
	}
}

// Where notices were lost, what was remembered of sessions is asked of the store again: who has signed out elsewhere is
// out, who has not stays, and nobody is asked for twice.
func TestMissedNotices(t *testing.T) {
	a, b, _ := instances(t)
	gone, stays := a.signInTokens(newSigner(1)).bearer(), a.signInTokens(newSigner(2)).bearer()
	id := b.signedInAs(gone)
	b.signedInAs(stays)
	over, on := b.openStream(gone), b.openStream(stays)
	open, err := a.store.SessionsOf(t.Context(), id, a.now)
	if err != nil || len(open) != 1 {
		t.Fatalf("%d sessions, %v", len(open), err)
	}
	if err := a.store.EndSession(t.Context(), open[0].ID); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Second)
	listener{b.realm, t.Context()}.Missed()
	mustEnd(t, over)
	if b.signedInAs(gone) != "" {
		t.Error("signed in after the session's end")
	}
	if b.signedInAs(stays) == "" {
		t.Error("somebody else was signed out")
	}
	select {
	case <-on:
		t.Error("the stream of a living session was cut")
	default:
	}
	b.faults.breakDown("Session")
	r := b.request("GET", "", "", stays...)
	r.URL.Path = "/reports"
	if code := b.serve(r).Code; code != http.StatusTeapot {
		t.Errorf("the store was asked again: %d", code)
	}
}

// A strict rule believes no access token: what has ended or changed in the store counts at the next request, and while the
// store cannot say, nobody passes.
func TestStrictRule(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{{Roles: []string{"admin"}, Paths: []string{"/admin/*"}, Strict: true}, {SignedIn: true}}
	})
	me := h.signInCookie(newSigner(1))
	id := h.signedInAs(me)
	h.setRoles(id, "admin")
	h.realm.outdate(id)
	get := func(path string) answer {
		r := h.request("GET", "", "", me...)
		r.URL.Path = path
		return h.serve(r)
	}
	h.now = h.now.Add(time.Second)
	if a := get("/admin/x"); a.Code != http.StatusTeapot {
		t.Fatalf("answered %d", a.Code)
	} else if pair, set := a.cookie(); set {
		me[1] = pair
	}

	h.faults.breakDown("Session")
	get("/admin/x").refused(503, "unavailable")
	if a := get("/reports"); a.Code != http.StatusTeapot {
		t.Errorf("another rule asks the store: %d", a.Code)
	}
	h.faults.repair()

	h.setRoles(id)
	get("/admin/x").refused(403, "forbidden")
	h.setRoles(id, "admin")
	if a := get("/admin/x"); a.Code != http.StatusTeapot {
		t.Fatalf("answered %d", a.Code)
	}

	open, err := h.store.SessionsOf(t.Context(), id, h.now)
	if err != nil || len(open) != 1 {
		t.Fatalf("%d sessions, %v", len(open), err)
	}
	if err := h.store.EndSession(t.Context(), open[0].ID); err != nil {
		t.Fatal(err)
	}
	if a := get("/reports"); a.Code != http.StatusTeapot {
		t.Errorf("another rule asks the store: %d", a.Code)
	}
	get("/admin/x").refused(401, "unauthenticated")
}
