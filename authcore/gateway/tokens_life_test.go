package gateway

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestTokenHasWhatItWasGivenAndItsOwnerHas(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	id := owner.User.ID
	for _, role := range []string{"editor", AdminRole} {
		if _, err := h.realm.GrantRole(t.Context(), operatorTrace, id, role); err != nil {
			t.Fatal(err)
		}
	}
	owner = h.signInTokens(newSigner(1))
	all, editor, none := h.newToken(owner.bearer(), ""), h.newToken(owner.bearer(), `,"roles":["editor","editor"]`), h.newToken(owner.bearer(), `,"roles":[]`)
	if !slices.Equal(editor.Roles, []string{"editor"}) || none.Roles == nil || len(none.Roles) != 0 || all.Roles != nil {
		t.Errorf("roles %q %q %q", editor.Roles, none.Roles, all.Roles)
	}
	check := func(when string, token tokenView, groups string, edit, manage int) {
		t.Helper()
		code, got := h.reach("/reports", "X-API-Key", token.Token)
		if code != http.StatusTeapot || got.Get("Remote-Groups") != groups {
			t.Errorf("%s: answered %d with roles %q, want %q", when, code, got.Get("Remote-Groups"), groups)
		}
		if code, _ := h.reach("/edit/x", "X-API-Key", token.Token); code != edit {
			t.Errorf("%s: /edit answered %d, want %d", when, code, edit)
		}
		if code, _ := h.reach("/manage/x", "X-API-Key", token.Token); code != manage {
			t.Errorf("%s: /manage answered %d, want %d", when, code, manage)
		}
	}
	check("all", all, "admin,editor", 418, 418)
	check("editor", editor, "editor", 418, 403)
	check("none", none, "", 403, 403)
	// What the owner loses, the token loses at once.
	if err := h.realm.RevokeRole(t.Context(), operatorTrace, id, "editor", true); err != nil {
		t.Fatal(err)
	}
	check("all, of who is no editor", all, "admin", 403, 418)
	check("editor, of who is no editor", editor, "", 403, 403)
	check("none", none, "", 403, 403)
	if _, err := h.realm.GrantRole(t.Context(), operatorTrace, id, "editor"); err != nil {
		t.Fatal(err)
	}
	check("editor again", editor, "editor", 418, 403)
}

func TestTokenExpires(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	short, long := h.newToken(owner.bearer(), `,"expires_in":90`), h.newToken(owner.bearer(), "")
	if short.Expires != timestamp(h.now.Add(90*time.Second)) || long.Expires != "" {
		t.Errorf("expires %q and %q", short.Expires, long.Expires)
	}
	var v struct{ Session sessionView }
	h.do("GET", "session", "", "X-API-Key", short.Token).ok(&v)
	if v.Session.Expires != short.Expires || v.Session.AuthTime != "" || len(v.Session.Methods) != 0 {
		t.Errorf("GET session tells %+v", v.Session)
	}
	h.now = h.now.Add(90*time.Second - 1)
	if code, _ := h.reach("/reports", "X-API-Key", short.Token); code != http.StatusTeapot {
		t.Errorf("before, answered %d", code)
	}
	h.now = h.now.Add(1)
	for _, path := range []string{"/reports", "/strict/x"} {
		if code, _ := h.reach(path, "X-API-Key", short.Token); code != http.StatusUnauthorized {
			t.Errorf("%s: after, answered %d", path, code)
		}
	}
	h.now = h.now.AddDate(1, 0, 0)
	if code, _ := h.reach("/reports", "X-API-Key", long.Token); code != http.StatusTeapot {
		t.Errorf("after a year, answered %d", code)
	}
	if err := h.realm.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := h.realm.Tokens(t.Context(), owner.User.ID); err != nil || len(all) != 1 || all[0].ID != long.ID {
		t.Errorf("%d are left, %v", len(all), err)
	}
}

// What ends a token holds here at once and elsewhere with the notice, though both have it in memory.
func TestTokensEndOnAllInstances(t *testing.T) {
	for name, instances := range map[string]func() (a, b *house){
		"notices of the challenge store": func() (*house, *house) { a, b, _ := instances(t, tokenSite); return a, b },
		"notices of the store":           func() (*house, *house) { return storeInstances(t, tokenSite) },
	} {
		for what, end := range map[string]func(t *testing.T, a *house, userID string, token tokenView, owner []string){
			"deleted": func(t *testing.T, a *house, _ string, token tokenView, owner []string) {
				if got := a.do("DELETE", "tokens/"+token.ID, "", owner...); got.Code != http.StatusNoContent {
					t.Fatalf("answered %d: %s", got.Code, got.Body)
				}
			},
			"disabled": func(t *testing.T, a *house, userID string, _ tokenView, _ []string) {
				if err := a.realm.Disable(t.Context(), operatorTrace, userID, false); err != nil {
					t.Fatal(err)
				}
			},
			"user deleted": func(t *testing.T, a *house, userID string, _ tokenView, _ []string) {
				if err := a.realm.Delete(t.Context(), operatorTrace, userID, false); err != nil {
					t.Fatal(err)
				}
			},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				a, b := instances()
				owner := a.signInTokens(newSigner(1))
				token := a.newToken(owner.bearer(), "")
				for _, h := range []*house{a, b} {
					if code, _ := h.reach("/reports", "X-API-Key", token.Token); code != http.StatusTeapot {
						t.Fatalf("before, answered %d", code)
					}
				}
				over := b.openStream([]string{"X-API-Key", token.Token})
				end(t, a, owner.User.ID, token, owner.bearer())
				if code, _ := a.reach("/reports", "X-API-Key", token.Token); code != http.StatusUnauthorized {
					t.Errorf("here, answered %d", code)
				}
				eventually(t, func() bool {
					code, _ := b.reach("/reports", "X-API-Key", token.Token)
					return code == http.StatusUnauthorized
				})
				mustEnd(t, over)
			})
		}
	}
}

// Without any notice a token that is gone from the store counts for the life of an access token at most, and one that the
// store cannot be asked about for no longer: 503, so that a program tries again rather than throws it away.
func TestTokenIsReadAgainWithinTheLifeOfAnAccessToken(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	gone, down := h.newToken(owner.bearer(), ""), h.newToken(owner.bearer(), "")
	for _, token := range []string{gone.Token, down.Token} {
		if code, _ := h.reach("/reports", "X-API-Key", token); code != http.StatusTeapot {
			t.Fatalf("answered %d", code)
		}
	}
	if err := h.store.DeletePersonalAccessToken(t.Context(), owner.User.ID, gone.ID); err != nil {
		t.Fatal(err)
	}
	h.faults.breakDown("User")
	h.now = h.now.Add(5*time.Minute - 1)
	for _, token := range []string{gone.Token, down.Token} {
		if code, _ := h.reach("/reports", "X-API-Key", token); code != http.StatusTeapot {
			t.Errorf("within the life of an access token, answered %d", code)
		}
	}
	h.now = h.now.Add(1)
	if code, _ := h.reach("/reports", "X-API-Key", gone.Token); code != http.StatusUnauthorized {
		t.Errorf("after it, answered %d", code)
	}
	if code, got := h.reach("/reports", "X-API-Key", down.Token); code != http.StatusServiceUnavailable || got != nil {
		t.Errorf("without a store, answered %d", code)
	}
	if code, got := h.reach("/public/x", "X-API-Key", down.Token); code != http.StatusTeapot || got["X-Api-Key"] != nil || got.Get("Remote-User") != "" {
		t.Errorf("without a store, public answered %d with %v", code, got)
	}
	h.do("GET", "session", "", "X-API-Key", down.Token).refused(503, "unavailable")
	h.faults.repair()
	if code, _ := h.reach("/reports", "X-API-Key", down.Token); code != http.StatusTeapot {
		t.Errorf("with the store back, answered %d", code)
	}
}

// countedTokens counts what the store is asked about tokens.
type countedTokens struct {
	authcore.PersonalAccessTokens
	mu    sync.Mutex
	reads int
	notes []map[string]time.Time
}

func (a *countedTokens) PersonalAccessToken(ctx context.Context, id string) (authcore.PersonalAccessToken, error) {
	a.mu.Lock()
	a.reads++
	a.mu.Unlock()
	return a.PersonalAccessTokens.PersonalAccessToken(ctx, id)
}

func (a *countedTokens) NotePersonalAccessTokens(ctx context.Context, used map[string]time.Time) error {
	a.mu.Lock()
	a.notes = append(a.notes, used)
	a.mu.Unlock()
	return a.PersonalAccessTokens.NotePersonalAccessTokens(ctx, used)
}

func TestTokenIsReadOnceAndItsUseNotedOnceAMinute(t *testing.T) {
	var store *countedTokens
	h := build(t, tokenSite, func(c *RealmConfig, _ *Site) {
		store = &countedTokens{PersonalAccessTokens: c.Stores.PersonalAccessTokens}
		c.Stores.PersonalAccessTokens = store
	})
	owner := h.signInTokens(newSigner(1))
	token := h.newToken(owner.bearer(), "")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if code, _ := h.reach("/reports", "X-API-Key", token.Token); code != http.StatusTeapot {
				t.Errorf("answered %d", code)
			}
		})
	}
	all.Wait()
	if store.reads > 50 || len(store.notes) != 0 {
		t.Errorf("%d reads, notes %v", store.reads, store.notes)
	}
	before := store.reads
	first := h.now
	for range 59 {
		h.now = h.now.Add(time.Second)
		if code, _ := h.reach("/reports", "X-API-Key", token.Token); code != http.StatusTeapot {
			t.Fatalf("answered %d", code)
		}
		if _, err := h.realm.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if store.reads != before || len(store.notes) != 1 || !store.notes[0][token.ID].Equal(first) {
		t.Errorf("%d further reads, notes %v", store.reads-before, store.notes)
	}
	h.now = h.now.Add(time.Second)
	if code, _ := h.reach("/reports", "X-API-Key", token.Token); code != http.StatusTeapot {
		t.Fatalf("answered %d", code)
	}
	var list struct{ Tokens []tokenView }
	h.do("GET", "tokens", "", owner.bearer()...).ok(&list)
	if len(list.Tokens) != 1 || list.Tokens[0].LastUsed != timestamp(h.now) || list.Tokens[0].Token != "" || list.Tokens[0].Name != "script" {
		t.Errorf("listed %+v", list.Tokens)
	}
	// A store that is down loses no use.
	h.now = h.now.Add(time.Minute)
	if code, _ := h.reach("/reports", "X-API-Key", token.Token); code != http.StatusTeapot {
		t.Fatalf("answered %d", code)
	}
	used := h.now
	over, cancel := context.WithCancel(t.Context())
	cancel()
	h.realm.notePersonal(over)
	h.realm.notePersonal(t.Context())
	if one, err := h.store.PersonalAccessToken(t.Context(), token.ID); err != nil || !one.LastUsed.Equal(used) {
		t.Errorf("last used %v, %v", one.LastUsed, err)
	}
}

// duringReads has something happen whenever who somebody is is read: after the user was, and before what follows from it is
// remembered.
func (h *house) duringReads(do func(n int)) (reads *atomic.Int64) {
	reads = new(atomic.Int64)
	h.faults.before("CredentialsOf", func() error {
		do(int(reads.Add(1)))
		return nil
	})
	return reads
}

// A role is taken in the very moment in which a token is used for the first time: the request is judged by what its owner is
// by now, and not sent away as if the store were down. Where each read comes too late, nobody passes by what was before.
func TestTokenReadWhileItsOwnerIsChanged(t *testing.T) {
	for _, c := range []struct {
		name               string
		changes            int
		reports, edit      int
		reportReads, reads int64 // of the first request, and of both
	}{
		{"once", 1, 418, 403, 2, 2},
		{"each time", 1000, 503, 503, 2, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, tokenSite)
			owner := h.signInTokens(newSigner(1))
			h.setRoles(owner.User.ID, "editor")
			h.realm.changed(t.Context(), owner.User.ID)
			h.now = h.now.Add(time.Second)
			token := h.newToken(h.signInTokens(newSigner(1)).bearer(), "").Token
			reads := h.duringReads(func(n int) {
				if n <= c.changes {
					h.setRoles(owner.User.ID)
					h.realm.changed(t.Context(), owner.User.ID)
				}
			})
			code, got := h.reach("/reports", "X-API-Key", token)
			if code != c.reports || got.Get("Remote-Groups") != "" || got.Get("X-Api-Key") != "" || reads.Load() != c.reportReads {
				t.Errorf("answered %d after %d reads; the backend got %v", code, reads.Load(), got)
			}
			if code, got := h.reach("/edit/x", "X-API-Key", token); code != c.edit || got != nil || reads.Load() != c.reads {
				t.Errorf("what the role was for answered %d after %d reads", code, reads.Load())
			}
			h.faults.repair()
			if code, _ := h.reach("/reports", "X-API-Key", token); code != http.StatusTeapot {
				t.Errorf("afterwards answered %d", code)
			}
		})
	}
}

// A token is deleted, or its owner disabled, while it is read: it is nobody's, whatever the read says.
func TestTokenThatEndsWhileItIsRead(t *testing.T) {
	for name, end := range map[string]func(h *house, owner signedInView, token tokenView){
		"deleted": func(h *house, owner signedInView, token tokenView) {
			if err := h.realm.DeleteToken(h.t.Context(), operatorTrace, owner.User.ID, token.ID); err != nil {
				h.t.Error(err)
			}
		},
		"disabled": func(h *house, owner signedInView, _ tokenView) {
			if err := h.realm.Disable(h.t.Context(), operatorTrace, owner.User.ID, true); err != nil {
				h.t.Error(err)
			}
		},
	} {
		h := build(t, tokenSite)
		owner := h.signInTokens(newSigner(1))
		token := h.newToken(owner.bearer(), "")
		h.duringReads(func(n int) {
			if n == 1 {
				end(h, owner, token)
			}
		})
		if code, got := h.reach("/reports", "X-API-Key", token.Token); code != http.StatusUnauthorized || got != nil {
			t.Errorf("%s: answered %d", name, code)
		}
	}
}
