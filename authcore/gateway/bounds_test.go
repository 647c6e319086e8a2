package gateway

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// An access token was copied, and its session ended on another instance, of which this one has not heard. The thief has
// some minutes left, and must not make a lasting credential of them.
func TestEndedSessionLinksNothing(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	message := h.challenge(newSigner(2), tokens.bearer()...)
	var v struct{ Session sessionView }
	h.do("GET", "session", "", tokens.bearer()...).ok(&v)
	if err := h.store.EndSession(t.Context(), v.Session.ID); err != nil {
		t.Fatal(err)
	}
	h.do("POST", "challenge/sign", solution(newSigner(2), message, ""), tokens.bearer()...).refused(401, "unauthenticated")
	if _, err := h.store.CredentialByKey(t.Context(), authcore.Wallet, newSigner(2).address()); err == nil {
		t.Error("the wallet was linked")
	}
}

// A site with a cookie domain is no other door for the sessions of sites below it that keep theirs to themselves.
func TestSessionOfOneHostIsNotGoodBelowItsDomain(t *testing.T) {
	h := build(t)
	shared := h.neighbour(Site{Origin: "https://b.example.com", CookieDomain: "example.com"})
	tokens := h.signInTokens(newSigner(1))
	shared.refresh(tokens.RefreshToken).refused(401, "invalid_grant")
	own := shared.signInTokens(newSigner(1))
	h.refresh(own.RefreshToken).refused(401, "invalid_grant")
}

// The absolute limit is one: not one more life of an access token that was renewed in the last moment.
func TestNoAccessTokenOutlivesItsSession(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) {
		c.Idle, c.Absolute, c.AccessToken, c.RefreshToken = time.Hour, time.Hour, 5*time.Minute, time.Hour
	})
	cookie := h.signInCookie(newSigner(1))
	tokens := h.signInTokens(newSigner(1))
	h.now = h.now.Add(time.Hour - time.Minute)
	if h.signedInAs(cookie) == "" {
		t.Fatal("signed out before the limit")
	}
	h.refresh(tokens.RefreshToken).ok(&tokens)
	if tokens.ExpiresIn > 60 {
		t.Errorf("expires_in is %d with a minute to go", tokens.ExpiresIn)
	}
	h.now = h.now.Add(time.Minute)
	if h.signedInAs(cookie) != "" || h.signedInAs(tokens.bearer()) != "" {
		t.Error("signed in after the limit")
	}
}

// Somebody unlinks a wallet and goes on at once: the tokens of that very second count.
func TestTokenOfTheSecondOfAChangeCounts(t *testing.T) {
	h := build(t)
	tokens := h.signInTokens(newSigner(1))
	h.present(newSigner(2), "", tokens.bearer()...).ok(&tokens)
	var list struct{ Credentials []credentialView }
	h.do("GET", "credentials", "", tokens.bearer()...).ok(&list)
	for _, c := range list.Credentials {
		if c.Wallet == newSigner(2).address() {
			if a := h.do("DELETE", "credentials/"+c.ID, "", tokens.bearer()...); a.Code != http.StatusNoContent {
				t.Fatal(fmt.Sprint(a.Code), a.Body)
			}
		}
	}
	if h.signedInAs(tokens.bearer()) != "" {
		t.Error("a token that tells the wallet still counts")
	}
	h.refresh(tokens.RefreshToken).ok(&tokens)
	if h.signedInAs(tokens.bearer()) == "" {
		t.Error("the token issued after it does not count")
	}
}
