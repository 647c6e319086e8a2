package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// A token that leaked must not become an account, nor another token, nor end the sessions of its owner.
func TestTokenIsNotGoodForTheAccount(t *testing.T) {
	h := build(t, tokenSite, func(c *RealmConfig, _ *Site) {
		c.Grants = []Grant{{Role: AdminRole, To: []string{newSigner(1).address()}}}
		c.RateLimit.Off = true
	})
	owner := h.signInTokens(newSigner(1))
	made := h.newToken(owner.bearer(), "")
	if code, _ := h.reach("/manage/x", "X-API-Key", made.Token); code != http.StatusTeapot {
		t.Fatalf("answered %d: it is no administrator's", code)
	}
	for sub, to := range h.gateway.routes {
		path := strings.ReplaceAll(sub, "*", made.ID)
		for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
			do, _ := to.by(method)
			if do == nil || strings.HasPrefix(sub, "/") {
				continue
			}
			for name, carry := range carriers {
				body := ""
				if method != "GET" {
					body = "{}"
				}
				a := h.do(method, path, body, carry(made.Token)...)
				var told struct {
					User    *struct{}
					Session *struct{}
				}
				_ = json.Unmarshal(a.Body.Bytes(), &told)
				who := strings.Contains(a.Body.String(), owner.User.ID) || strings.Contains(a.Body.String(), made.ID) || strings.Contains(a.Body.String(), owner.User.Username)
				if sub == "session" {
					if a.Code != http.StatusOK || !who {
						t.Errorf("%s: GET session answered %d", name, a.Code)
					}
					continue
				}
				if who || a.Header()["Set-Cookie"] != nil && sub != "sign-out" {
					t.Errorf("%s: %s %s answered %d: %s", name, method, sub, a.Code, a.Body)
				}
			}
		}
	}
	for _, of := range []struct{ method, sub string }{
		{"GET", "tokens"},
		{"POST", "tokens"},
		{"DELETE", "tokens/" + made.ID},
		{"GET", "sessions"},
		{"DELETE", "sessions"},
		{"GET", "credentials"},
		{"DELETE", "credentials/x"},
		{"PATCH", "credentials/x"},
		{"GET", "profile"},
		{"PATCH", "profile"},
		{"GET", "admin/users"},
		{"GET", "admin/events"},
		{"POST", "admin/invites"},
		{"POST", "step-up/challenge/create"},
		{"POST", "step-up/challenge/sign"},
	} {
		body := ""
		if of.method != "GET" {
			body = `{"name":"x"}`
		}
		h.do(of.method, of.sub, body, "X-API-Key", made.Token).refused(403, "forbidden")
	}
	// Signing out with it ends nothing: neither it, nor a session, nor the cookie of a browser that sent both.
	if a := h.do("POST", "sign-out", "", "X-API-Key", made.Token); a.Code != http.StatusNoContent || a.Header()["Set-Cookie"] != nil {
		t.Errorf("sign-out answered %d, %v", a.Code, a.Header())
	}
	if code, _ := h.reach("/reports", "X-API-Key", made.Token); code != http.StatusTeapot {
		t.Error("it is gone")
	}
	if h.signedInAs(owner.bearer()) != owner.User.ID {
		t.Error("its owner's session is gone")
	}
	// A new wallet that is proved beside it is a new account's, and not linked to the owner's.
	var v signedInView
	h.present(newSigner(9), "", "X-API-Key", made.Token).ok(&v)
	if v.User.ID == owner.User.ID {
		t.Error("a wallet was linked with a token")
	}
}

// Somebody deletes tokens by ids of others: nothing happens to those, here or on another instance.
func TestTokensOfOthersAreNotThere(t *testing.T) {
	a, b, _ := instances(t, tokenSite)
	alice, mallory := a.signInTokens(newSigner(1)), a.signInTokens(newSigner(2))
	token := a.newToken(alice.bearer(), "")
	a.do("DELETE", "tokens/"+token.ID, "", mallory.bearer()...).refused(404, "token_not_found")
	a.do("DELETE", "tokens/nothing", "", mallory.bearer()...).refused(404, "token_not_found")
	for _, h := range []*house{a, b} {
		if code, _ := h.reach("/reports", "X-API-Key", token.Token); code != http.StatusTeapot {
			t.Errorf("answered %d", code)
		}
	}
	var list struct{ Tokens []tokenView }
	a.do("GET", "tokens", "", mallory.bearer()...).ok(&list)
	if len(list.Tokens) != 0 {
		t.Errorf("listed %v", list.Tokens)
	}
}

func TestTokensAreMadeByWhoHasJustSignedIn(t *testing.T) {
	h := build(t, tokenSite)
	owner := h.signInTokens(newSigner(1))
	cookie := h.signInCookie(newSigner(1))
	h.newToken(cookie, "")
	h.do("POST", "tokens", `{"name":"x"}`).refused(401, "unauthenticated")
	h.do("GET", "tokens", "").refused(401, "unauthenticated")
	h.do("POST", "tokens", `{"name":"x"}`, append(slices.Clone(cookie), "Origin", "https://evil.example.net")...).refused(403, "cross_origin")
	for name, body := range map[string]string{
		"no name": `{}`, "empty name": `{"name":" "}`, "long name": `{"name":"` + strings.Repeat("x", 65) + `"}`, "name of control": `{"name":"a\u0007"}`,
		"roles of nobody": `{"name":"x","roles":["editor"]}`, "roles no list": `{"name":"x","roles":"editor"}`, "paths no list": `{"name":"x","paths":"/a"}`,
		"no paths": `{"name":"x","paths":[]}`, "path of no rule": `{"name":"x","paths":["a"]}`, "paths twice": `{"name":"x","paths":["/a","/A"]}`,
		"long path": `{"name":"x","paths":["/` + strings.Repeat("x", 1024) + `"]}`, "for too long": `{"name":"x","expires_in":400000000}`,
		"for far too long": `{"name":"x","expires_in":18446744073709551615}`, "for nothing": `{"name":"x","expires_in":0}`, "in the past": `{"name":"x","expires_in":-5}`,
	} {
		a := h.do("POST", "tokens", body, owner.bearer()...)
		if a.Code != http.StatusBadRequest {
			t.Errorf("%s: answered %d: %s", name, a.Code, a.Body)
		}
	}
	h.now = h.now.Add(4 * time.Minute)
	h.newToken(owner.bearer(), "")
	h.now = h.now.Add(59*time.Second + 999*time.Millisecond)
	for range 98 {
		h.newToken(owner.bearer(), "")
	}
	h.do("POST", "tokens", `{"name":"x"}`, owner.bearer()...).refused(409, "too_many_tokens")
	h.now = h.now.Add(time.Millisecond)
	h.do("POST", "tokens", `{"name":"x"}`, cookie...).refused(401, "step_up_required")
	events, err := h.realm.Events(t.Context(), authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventTokenCreated}, Limit: 200})
	if err != nil || len(events) != 100 || events[0].Subject != owner.User.ID || events[0].Detail != "script" || events[0].Actor != owner.User.ID || events[0].SessionID == "" {
		t.Errorf("%d events, %v", len(events), err)
	}
	// Only hashes are kept, and nothing of it is logged.
	made := h.newTokenOf(t)
	stored, err := h.store.PersonalAccessToken(t.Context(), made.ID)
	if err != nil || stored.SecretHash != authcore.HashSecret(made.Token) || strings.Contains(fmt.Sprintf("%+v", stored), made.Token[4:]) {
		t.Errorf("stored %+v, %v", stored, err)
	}
	h.reach("/reports", "X-API-Key", made.Token)
	h.reach("/reports", "X-API-Key", made.Token[:67]+"!")
	if strings.Contains(h.log.String(), made.Token[4:60]) {
		t.Error("a token is in the log")
	}
}

func (h *house) newTokenOf(t *testing.T) tokenView {
	t.Helper()
	return h.newToken(h.signInTokens(newSigner(7)).bearer(), "")
}

// Somebody asks for tokens many times at once, each time when the others' are not there yet: there are no more than may be.
func TestTokensMadeAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := bubble(t, tokenSite)
		owner := h.signInTokens(newSigner(1))
		for range maxTokens - 5 {
			h.newToken(owner.bearer(), "")
		}
		goOn := make(chan struct{})
		h.faults.before("Transact", func() error {
			<-goOn
			return nil
		})
		const callers = 24
		codes := make(chan int)
		for range callers {
			go func() { codes <- h.do("POST", "tokens", `{"name":"script"}`, owner.bearer()...).Code }()
		}
		synctest.Wait() // all have seen what there is
		close(goOn)
		made := map[int]int{}
		for range callers {
			made[<-codes]++
		}
		if made[http.StatusCreated] != 5 || made[http.StatusConflict] != callers-5 {
			t.Errorf("answered %v", made)
		}
		h.faults.repair()
		if all, err := h.store.PersonalAccessTokensOf(t.Context(), owner.User.ID); err != nil || len(all) != maxTokens {
			t.Errorf("%d tokens, %v", len(all), err)
		}
	})
}
