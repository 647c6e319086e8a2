package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

// Attack: an intruder has made a personal access token that never expires. Whoever gets the account back, with a mailed key or
// with a recovery link, must not have to find it first. A change of the password by who is signed in leaves tokens.
func TestTokensEndWithARecovery(t *testing.T) {
	for name, one := range map[string]struct {
		code    string
		recover func(h *house, v signedInView) answer
	}{
		"reset": {"reset", func(h *house, _ signedInView) answer { return h.reset(h.forgot(alice), newPassword, "") }},
		"recovery with a password": {"recover", func(h *house, v signedInView) answer {
			return h.do("POST", "recover/password", fmt.Sprintf(`{"key":%q,"password":%q}`, h.recoveryOf(v.User.ID), newPassword))
		}},
		"recovery with a wallet": {"recover", func(h *house, v signedInView) answer { return h.recoverWallet(newSigner(3), h.recoveryOf(v.User.ID)) }},
		"change": {"", func(h *house, v signedInView) answer {
			return h.do("POST", "password/change", fmt.Sprintf(`{"password":%q}`, newPassword), v.bearer()...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, everyMethod)
			v, other := h.person(alice, alicesPassword), h.signInTokens(newSigner(9))
			tokens, theirs := []string{h.newToken(v.bearer(), "").Token, h.newToken(v.bearer(), `,"expires_in":60`).Token}, h.newToken(other.bearer(), "").Token
			h.mails()
			for _, tok := range tokens { // which are remembered from now on
				if code, _ := h.reach("/reports", "Authorization", "Bearer "+tok); code != http.StatusTeapot {
					t.Fatalf("answered %d", code)
				}
			}
			if a := one.recover(h, v); a.Code >= 300 {
				t.Fatalf("answered %d: %s", a.Code, a.Body)
			}
			want, deleted := http.StatusUnauthorized, []string{"token_deleted " + one.code, "token_deleted " + one.code}
			if one.code == "" {
				want, deleted = http.StatusTeapot, nil
			}
			for _, tok := range tokens {
				if code, _ := h.reach("/reports", "Authorization", "Bearer "+tok); code != want {
					t.Errorf("answered %d", code)
				}
			}
			if code, _ := h.reach("/reports", "Authorization", "Bearer "+theirs); code != http.StatusTeapot {
				t.Errorf("the token of somebody else: %d", code)
			}
			left, err := h.realm.Tokens(t.Context(), v.User.ID)
			if err != nil || (len(left) > 0) != (one.code == "") {
				t.Errorf("%d tokens are left, %v", len(left), err)
			}
			if got := h.logged(authcore.EventTokenDeleted); !slices.Equal(got, deleted) {
				t.Errorf("the audit log tells %q", got)
			}
			for _, e := range h.events(authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventTokenDeleted}}) {
				if e.Subject != v.User.ID || e.Actor != v.User.ID || e.Detail != "script" {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// Another instance remembers the token.
func TestTokensEndWithARecoveryElsewhere(t *testing.T) {
	a, b, _ := instances(t)
	v := a.signInTokens(newSigner(1))
	tok := a.newToken(v.bearer(), "").Token
	if code, _ := b.reach("/reports", "Authorization", "Bearer "+tok); code != http.StatusTeapot {
		t.Fatalf("answered %d", code)
	}
	a.recoverWallet(newSigner(2), a.recoveryOf(v.User.ID)).ok(new(signedInView))
	if code, _ := b.reach("/reports", "Authorization", "Bearer "+tok); code != http.StatusUnauthorized {
		t.Errorf("answered %d", code)
	}
}

// Attack: who has a stolen session makes a token at the moment at which its owner recovers the account.
func TestNoTokenIsMadeWhileTheSessionEnds(t *testing.T) {
	h := build(t, everyMethod)
	v := h.signInTokens(newSigner(1))
	h.faults.before("Transact", func() error {
		h.faults.repair()
		return h.realm.EndSessions(t.Context(), operator, v.User.ID)
	})
	h.do("POST", "tokens", `{"name":"script"}`, v.bearer()...).refused(401, "unauthenticated")
	if left, err := h.realm.Tokens(t.Context(), v.User.ID); err != nil || len(left) > 0 {
		t.Errorf("%d tokens, %v", len(left), err)
	}
}
