package gateway

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// Many requests of one browser wait for one renewal. What is taken from its user while that reads who they are, or ends with
// its session, is so for each of them that was sent afterwards.
func TestRenewalThatBeganBeforeAChange(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *house, id string)
		want   int
	}{
		"nothing": {func(*house, string) {}, http.StatusTeapot},
		"role taken": {func(h *house, id string) {
			h.setRoles(id)
			h.realm.changed(h.t.Context(), id)
		}, http.StatusForbidden},
		"session ended": {func(h *house, id string) {
			open, err := h.store.SessionsOf(h.t.Context(), id, time.Now())
			if err != nil || len(open) != 1 {
				h.t.Errorf("%d sessions, %v", len(open), err)
				return
			}
			if err := h.realm.EndSession(h.t.Context(), operatorTrace, id, open[0].ID); err != nil {
				h.t.Error(err)
			}
		}, http.StatusUnauthorized},
		"disabled": {func(h *house, id string) {
			if err := h.realm.Disable(h.t.Context(), authcore.Trace{Actor: authcore.Operator}, id, true); err != nil {
				h.t.Error(err)
			}
		}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := bubble(t, func(_ *RealmConfig, s *Site) {
					s.Rules = []policy.Rule{{Roles: []string{"editor"}, Paths: []string{"/edit/*"}}}
				})
				me := h.signInCookie(newSigner(1))
				id := h.signedInAs(me)
				h.setRoles(id, "editor")
				time.Sleep(h.realm.AccessToken)
				goOn := make(chan struct{})
				reads := h.duringReads(func(n int) {
					if n == 1 {
						<-goOn
					}
				})
				before, after := make(chan int), make(chan int)
				ask := func(code chan<- int) {
					got, _ := h.reach("/edit/x", me...)
					code <- got
				}
				go ask(before)
				synctest.Wait()
				if reads.Load() != 1 {
					t.Errorf("%d reads", reads.Load())
				}
				c.change(h, id)
				go ask(after)
				synctest.Wait()
				close(goOn)
				<-before
				if got := <-after; got != c.want {
					t.Errorf("answered %d, want %d", got, c.want)
				}
			})
		})
	}
}

// Tokens tell whole seconds: a role is taken, the user's page renews its token, and another one is taken, all in one second.
// The token of between tells a role that is gone.
func TestTokenFromBetweenTwoChangesOfOneSecond(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{{Roles: []string{"editor"}, Paths: []string{"/edit/*"}}, {Roles: []string{"author"}, Paths: []string{"/write/*"}}}
	})
	program := h.signInTokens(newSigner(1))
	browser := h.signInCookie(newSigner(1))
	id := program.User.ID
	want := func(when string, edit, write int, headers []string) []string {
		t.Helper()
		for path, want := range map[string]int{"/edit/x": edit, "/write/x": write} {
			a := h.serve(h.toBackend("GET", path, headers...))
			if a.Code != want {
				t.Errorf("%s: %s answered %d, want %d", when, path, a.Code, want)
			}
			if pair, set := a.cookie(); set {
				headers = []string{"Cookie", pair}
			}
		}
		return headers
	}
	change := func(roles ...string) {
		h.setRoles(id, roles...)
		h.realm.changed(t.Context(), id)
	}
	refresh := func() {
		h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, program.RefreshToken)).ok(&program)
	}
	change("editor", "author")
	refresh()
	browser = want("both given", 418, 418, browser)
	want("both given", 418, 418, program.bearer())
	change("author")
	refresh()
	browser = want("one taken", 403, 418, browser)
	want("one taken", 403, 418, program.bearer())
	change()
	want("the other taken", 403, 403, browser)
	want("the other taken", 403, 403, program.bearer())
	refresh()
	want("the other taken, refreshed", 403, 403, program.bearer())
}

// A strict rule believes no memory of a personal access token either: what was deleted, changed or taken in the store, without
// any notice, counts at the next request, within what the token was given.
func TestStrictRuleAsksForTokens(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{
			{Roles: []string{"editor"}, Paths: []string{"/edit/*"}, Strict: true},
			{SignedIn: true, Paths: []string{"/strict/*"}, Strict: true},
		}
	})
	owner := h.signInTokens(newSigner(1))
	id := owner.User.ID
	h.setRoles(id, "editor")
	h.realm.outdate(id)
	h.now = h.now.Add(time.Second)
	owner = h.signInTokens(newSigner(1))
	all, none := h.newToken(owner.bearer(), ""), h.newToken(owner.bearer(), `,"roles":[]`)
	within := h.newToken(owner.bearer(), `,"paths":["/strict/a"]`)
	want := func(when string, token tokenView, path string, want int) http.Header {
		t.Helper()
		code, got := h.reach(path, "X-API-Key", token.Token)
		if code != want {
			t.Errorf("%s: %s answered %d, want %d", when, path, code, want)
		}
		return got
	}
	want("at first", all, "/edit/x", 418)
	want("at first", none, "/edit/x", 403)
	want("at first", within, "/strict/a", 418)
	want("at first", within, "/strict/b", 403)

	h.setRoles(id, "editor", "author")
	if got := want("more roles", all, "/edit/x", 418); got.Get("Remote-Groups") != "author,editor" {
		t.Errorf("the backend is told of %q", got.Get("Remote-Groups"))
	}
	if got := want("more roles", none, "/strict/x", 418); got.Get("Remote-Groups") != "" {
		t.Errorf("the backend is told of %q", got.Get("Remote-Groups"))
	}
	want("more roles", within, "/strict/a", 418)
	want("more roles", within, "/strict/b", 403)
	h.setRoles(id)
	want("role taken", all, "/edit/x", 403)

	h.faults.breakDown("User")
	want("no store", all, "/strict/x", 503)
	want("no store", all, "/reports", 418)
	h.faults.repair()
	if err := h.store.DeletePersonalAccessToken(t.Context(), id, all.ID); err != nil {
		t.Fatal(err)
	}
	want("deleted", all, "/reports", 418)
	want("deleted", all, "/strict/x", 401)
}

// What a strict rule lets through goes on as the stream of the token it came with, also where the store knew more of its owner
// than memory did: as long as the token, and no longer.
func TestStreamOfATokenThroughAStrictRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := bubble(t, func(_ *RealmConfig, s *Site) {
			s.Rules = []policy.Rule{{SignedIn: true, Paths: []string{"/events"}, Strict: true}}
		})
		owner := h.signInTokens(newSigner(1))
		token := h.newToken(owner.bearer(), "")
		h.reach("/reports", "X-API-Key", token.Token)
		h.setRoles(owner.User.ID, "editor") // which memory does not know
		d := h.download("X-API-Key", token.Token)
		for range 3 {
			time.Sleep(h.realm.AccessToken)
			if !d.goes() {
				t.Fatal("cut for nothing")
			}
		}
		if err := h.store.DeletePersonalAccessToken(t.Context(), owner.User.ID, token.ID); err != nil {
			t.Error(err)
		}
		time.Sleep(h.realm.AccessToken)
		if d.goes() {
			t.Error("it goes on without its token")
			close(d.release)
		}
		<-d.over
		told.only(t, streamSessionEnded)
	})
}
