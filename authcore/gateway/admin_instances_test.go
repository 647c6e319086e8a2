package gateway

import (
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

var operatorTrace = authcore.Trace{Actor: authcore.Operator}

// What one instance changes holds there at once and on another one with the notice, which these tests deliver in the same
// moment; without it, where the access token is renewed.
func TestChangesOfUsersHoldOnAllInstances(t *testing.T) {
	forEditors := func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{{Roles: []string{"editor"}, Paths: []string{"/edit/*"}}, {SignedIn: true}}
	}
	reaches := func(h *house, path string, headers []string) int {
		r := h.request("GET", "", "", headers...)
		r.URL.Path = path
		return h.serve(r).Code
	}
	for name, instances := range map[string]func() (a, b *house){
		"notices of the challenge store": func() (*house, *house) { a, b, _ := instances(t, forEditors); return a, b },
		"notices of the store":           func() (*house, *house) { return storeInstances(t, forEditors) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := instances()
			who := newSigner(5)
			cookie := a.signInCookie(who)
			id := b.signedInAs(cookie)
			if got := reaches(b, "/edit/x", cookie); got != 403 {
				t.Fatalf("answered %d before", got)
			}
			heard := func(here int64) { // each change is heard where it was made, too
				eventually(t, func() bool { return a.realm.State.seen() == here && b.realm.State.seen() == here/2 })
			}
			if _, err := a.realm.GrantRole(t.Context(), operatorTrace, id, "editor"); err != nil {
				t.Fatal(err)
			}
			heard(2)
			for _, h := range []*house{a, b} {
				eventually(t, func() bool { return reaches(h, "/edit/x", cookie) == 418 })
			}
			if err := a.realm.RevokeRole(t.Context(), operatorTrace, id, "editor", false); err != nil {
				t.Fatal(err)
			}
			heard(4)
			for _, h := range []*house{a, b} {
				eventually(t, func() bool { return reaches(h, "/edit/x", cookie) == 403 })
			}
			if err := a.realm.EndSessions(t.Context(), operatorTrace, id); err != nil {
				t.Fatal(err)
			}
			for _, h := range []*house{a, b} {
				eventually(t, func() bool { return reaches(h, "/reports", cookie) == 401 })
			}
			// A program holds its access token, which says all by itself.
			bearer := b.signInTokens(who).bearer()
			if reaches(a, "/reports", bearer) != 418 || reaches(b, "/reports", bearer) != 418 {
				t.Fatal("not signed in")
			}
			if err := a.realm.Disable(t.Context(), operatorTrace, id, false); err != nil {
				t.Fatal(err)
			}
			for _, h := range []*house{a, b} {
				eventually(t, func() bool { return reaches(h, "/reports", bearer) == 401 })
			}
			if err := a.realm.Enable(t.Context(), operatorTrace, id); err != nil {
				t.Fatal(err)
			}
			bearer = b.signInTokens(who).bearer()
			if err := a.realm.Delete(t.Context(), operatorTrace, id, false); err != nil {
				t.Fatal(err)
			}
			for _, h := range []*house{a, b} {
				eventually(t, func() bool { return reaches(h, "/reports", bearer) == 401 })
			}
		})
	}
}

// seen answers how many changes of users it has seen.
func (s *State) seen() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changes
}

// storeInstances answers two instances on one store that carries the notices itself.
func storeInstances(t *testing.T, change ...func(*RealmConfig, *Site)) (a, b *house) {
	t.Helper()
	a = build(t, change...)
	b = a.twin()
	for _, h := range []*house{a, b} {
		go h.realm.Listen(t.Context())
		eventually(t, h.realm.parts.hearing.Load)
	}
	return a, b
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatal("it does not happen")
		}
	}
}
