package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// listView is what GET credentials answers.
type listView struct {
	Credentials []struct {
		ID, Kind, Name, Created, Wallet, Provider, AAGUID string
		LastUsed                                          string `json:"last_used"`
		CredentialID                                      string `json:"credential_id"`
		RPID                                              string `json:"rp_id"`
		BackedUp                                          bool   `json:"backed_up"`
		Synced                                            bool
		Transports                                        []string
	}
	Signals *signals
}

func (h *house) list(headers ...string) (l listView) {
	h.t.Helper()
	h.do("GET", "credentials", "", headers...).ok(&l)
	return l
}

// idOf answers the id of the credential of this kind; of several, that of the newest.
func (h *house) idOf(kind authcore.Method, headers ...string) (id string) {
	h.t.Helper()
	for _, c := range h.list(headers...).Credentials {
		if c.Kind == string(kind) {
			id = c.ID
		}
	}
	return id
}

func TestListOfCredentials(t *testing.T) {
	h := build(t, passkeysOn)
	tokens := h.signInTokens(newSigner(1))
	icloud, err := passkey.ParseAAGUID("fbfc3007-154e-4ecc-8c0b-6e020557d7bd")
	if err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(time.Minute)
	a := &passkeytest.Authenticator{AAGUID: icloud, Synced: true, BackedUp: true, Transports: []string{"hybrid", "internal"}}
	h.register(a, `{}`, `,"name":"Phone"`, tokens.bearer()...).ok(new(map[string]any))
	l := h.list(tokens.bearer()...)
	if len(l.Credentials) != 2 {
		t.Fatalf("%+v", l)
	}
	w, p := l.Credentials[0], l.Credentials[1]
	if w.Kind != "wallet" || w.Wallet != newSigner(1).address() || w.Created != "2026-11-21T12:00:00Z" || w.LastUsed != w.Created || w.RPID != "" {
		t.Errorf("wallet: %+v", w)
	}
	id := base64.RawURLEncoding.EncodeToString(a.Credentials[0].ID)
	if p.Kind != "passkey" || p.Name != "Phone" || p.CredentialID != id || p.RPID != "app.example.com" || p.AAGUID != icloud.String() ||
		p.Provider != passkey.Provider(icloud) || p.Provider == "" || !p.Synced || !p.BackedUp || p.LastUsed != "" || !slices.Equal(p.Transports, a.Transports) {
		t.Errorf("passkey: %+v", p)
	}
	want := signals{"app.example.com", base64.RawURLEncoding.EncodeToString(a.Credentials[0].UserHandle), []string{id}, w.Wallet, w.Wallet}
	if s := l.Signals; s == nil || s.RPID != want.RPID || s.UserID != want.UserID || !slices.Equal(s.IDs, want.IDs) || s.Name != want.Name || s.DisplayName != want.DisplayName {
		t.Errorf("signals: %+v, want %+v", s, want)
	}
	h.do("GET", "credentials", "").refused(401, "unauthenticated")
}

// On a site with other passkeys, or none, the list of those that are good there must not make browsers forget these.
func TestSignalsAreOfThisSite(t *testing.T) {
	h := build(t, passkeysOn, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	tokens := h.signInTokens(newSigner(1))
	h.register(new(passkeytest.Authenticator), `{}`, "", tokens.bearer()...).ok(new(map[string]any))
	next := h.neighbour(Site{Origin: "https://b.example.com", CookieDomain: "example.com"})
	l := next.list(tokens.bearer()...)
	if len(l.Credentials) != 2 || l.Signals == nil || l.Signals.RPID != "b.example.com" || l.Signals.IDs == nil || len(l.Signals.IDs) != 0 {
		t.Errorf("%+v", l)
	}
	without := h.neighbour(Site{Origin: "https://c.example.com", CookieDomain: "example.com", Methods: []authcore.Method{authcore.Wallet}})
	if l := without.list(tokens.bearer()...); l.Signals != nil {
		t.Errorf("%+v", l.Signals)
	}
}

func TestRenameACredential(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	v := h.newcomer(&a, "alice")
	id := h.list(v.bearer()...).Credentials[0].ID
	// A sign-in with the passkey writes to it at this moment.
	h.faults.before("UpdateCredential", func() error {
		h.faults.repair()
		h.touch(&a, `{}`, "").ok(new(signedInView))
		return nil
	})
	h.do("PATCH", "credentials/"+id, `{"name":" My <key> "}`, v.bearer()...).ok(new(map[string]any))
	if c := h.list(v.bearer()...).Credentials[0]; c.Name != "My <key>" {
		t.Errorf("name %q", c.Name)
	}
	h.touch(&a, `{}`, "").ok(new(signedInView)) // the count was not lost
	for name, body := range map[string]string{
		"none": `{}`, "null": `{"name":null}`, "number": `{"name":1}`, "control": `{"name":"a\u0000"}`, "long": `{"name":"` + strings.Repeat("ä", 65) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := h.do("PATCH", "credentials/"+id, body, v.bearer()...)
			a.t = t
			a.refused(400, "invalid_request")
		})
	}
	h.do("PATCH", "credentials/"+id, `{"name":"`+strings.Repeat("ä", 64)+`"}`, v.bearer()...).ok(new(map[string]any))
	h.do("PATCH", "credentials/"+id, `{"name":""}`, v.bearer()...).ok(new(map[string]any))
	h.faults.before("UpdateCredential", func() error { return authcore.ErrConflict })
	h.do("PATCH", "credentials/"+id, `{"name":"x"}`, v.bearer()...).refused(503, "unavailable")
}

func TestDeleteACredential(t *testing.T) {
	h := build(t, passkeysOn)
	tokens := h.signInTokens(newSigner(1))
	var a passkeytest.Authenticator
	h.do("DELETE", "credentials/"+h.list(tokens.bearer()...).Credentials[0].ID, "", tokens.bearer()...).refused(409, "last_credential")
	h.register(&a, `{}`, "", tokens.bearer()...).ok(new(map[string]any))
	id := h.idOf(authcore.Passkey, tokens.bearer()...)
	if answer := h.do("DELETE", "credentials/"+id, "", tokens.bearer()...); answer.Code != http.StatusNoContent || answer.Body.Len() > 0 {
		t.Fatalf("answered %d %s", answer.Code, answer.Body)
	}
	h.touch(&a, `{}`, "").refused(401, "invalid_assertion")
	h.do("DELETE", "credentials/"+id, "", tokens.bearer()...).refused(404, "credential_not_found")
}

// Whoever deletes the wallet keeps a passkey of another site, with which there is no way in here.
func TestLastCredentialIsOneThatWorksHere(t *testing.T) {
	h := build(t, passkeysOn, func(_ *RealmConfig, s *Site) { s.CookieDomain = "example.com" })
	next := h.neighbour(Site{Origin: "https://b.example.com", CookieDomain: "example.com"})
	tokens := h.signInTokens(newSigner(1))
	next.register(new(passkeytest.Authenticator), `{}`, "", tokens.bearer()...).ok(new(map[string]any))
	wallet, foreign := h.idOf(authcore.Wallet, tokens.bearer()...), h.idOf(authcore.Passkey, tokens.bearer()...)
	h.do("DELETE", "credentials/"+wallet, "", tokens.bearer()...).refused(409, "last_credential")
	if a := h.do("DELETE", "credentials/"+foreign, "", tokens.bearer()...); a.Code != http.StatusNoContent {
		t.Errorf("answered %d", a.Code)
	}
	only := h.neighbour(Site{Origin: home, CookieDomain: "example.com", Methods: []authcore.Method{authcore.Passkey}})
	h.register(new(passkeytest.Authenticator), `{}`, "", tokens.bearer()...).ok(new(map[string]any))
	only.do("DELETE", "credentials/"+h.idOf(authcore.Passkey, tokens.bearer()...), "", tokens.bearer()...).refused(409, "last_credential")
}

// Two tabs delete the last two credentials at once.
func TestLastCredentialRace(t *testing.T) {
	for range 10 {
		h := build(t, passkeysOn)
		var a, b passkeytest.Authenticator
		v := h.newcomer(&a, "alice")
		h.register(&b, `{}`, "", v.bearer()...).ok(new(map[string]any))
		var codes [2]int
		var wg sync.WaitGroup
		for i, c := range h.list(v.bearer()...).Credentials {
			wg.Go(func() { codes[i] = h.do("DELETE", "credentials/"+c.ID, "", v.bearer()...).Code })
		}
		wg.Wait()
		slices.Sort(codes[:])
		if codes != [2]int{204, 409} {
			t.Errorf("answers: %v", codes)
		}
	}
}

// Mallory guesses, or has seen, the id of somebody else's credential.
func TestCredentialOfSomebodyElse(t *testing.T) {
	h := build(t, passkeysOn)
	alice := h.newcomer(new(passkeytest.Authenticator), "alice")
	h.register(new(passkeytest.Authenticator), `{}`, "", alice.bearer()...).ok(new(map[string]any))
	mallory := h.newcomer(new(passkeytest.Authenticator), "mallory")
	h.register(new(passkeytest.Authenticator), `{}`, "", mallory.bearer()...).ok(new(map[string]any))
	id := h.list(alice.bearer()...).Credentials[0].ID
	h.do("DELETE", "credentials/"+id, "", mallory.bearer()...).refused(404, "credential_not_found")
	h.do("PATCH", "credentials/"+id, `{"name":"mine"}`, mallory.bearer()...).refused(404, "credential_not_found")
	if c := h.list(alice.bearer()...).Credentials; len(c) != 2 || c[0].Name != "" {
		t.Errorf("%+v", c)
	}
}

// Somebody finds a browser that was left signed in.
func TestChangingCredentialsNeedsAFreshSignIn(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	v := h.newcomer(&a, "alice")
	h.register(new(passkeytest.Authenticator), `{}`, "", v.bearer()...).ok(new(map[string]any))
	id := h.list(v.bearer()...).Credentials[1].ID
	h.now = h.now.Add(4 * time.Minute)
	cookie := h.touch(&a, `{}`, `,"session":"cookie"`)
	pair, _ := cookie.cookie()
	browser := []string{"Cookie", pair}
	h.now = h.now.Add(5 * time.Minute)
	h.do("PATCH", "credentials/"+id, `{"name":"x"}`, browser...).refused(401, "step_up_required")
	h.do("DELETE", "credentials/"+id, "", browser...).refused(401, "step_up_required")
	h.prove(&a, browser...).ok(new(map[string]any))
	h.do("PATCH", "credentials/"+id, `{"name":"x"}`, browser...).ok(new(map[string]any))
	if a := h.do("DELETE", "credentials/"+id, "", browser...); a.Code != http.StatusNoContent {
		t.Errorf("answered %d", a.Code)
	}
	h.do("PATCH", "credentials/"+id, `{"name":"x"}`).refused(401, "unauthenticated")
	h.do("DELETE", "credentials/"+id, "").refused(401, "unauthenticated")
}

// A page of another origin has a browser change credentials.
func TestCredentialsAndForeignOrigins(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	v := h.newcomer(&a, "alice")
	id := h.list(v.bearer()...).Credentials[0].ID
	for _, origin := range []string{"https://evil.example", "https://b.example.com", home + ":8443", "null"} {
		h.do("DELETE", "credentials/"+id, "", append(v.bearer(), "Origin", origin)...).refused(403, "cross_origin")
		h.do("PATCH", "credentials/"+id, `{"name":"x"}`, append(v.bearer(), "Origin", origin)...).refused(403, "cross_origin")
	}
}

func TestMethodsOfCredentialRoutes(t *testing.T) {
	h := build(t)
	for sub, allow := range map[string]string{"credentials": "GET, HEAD", "credentials/x": "PATCH, DELETE"} {
		if a := h.do("POST", sub, `{}`).refused(405, "method_not_allowed"); a.Header().Get("Allow") != allow {
			t.Errorf("%s: Allow %q, want %q", sub, a.Header().Get("Allow"), allow)
		}
	}
}

// A wallet that was granted a role is taken out of the account, of which access tokens do not know: the role is gone at
// once on this instance, whoever holds one.
func TestDeletedWalletTakesItsRolesAlong(t *testing.T) {
	h := build(t, passkeysOn, func(c *RealmConfig, s *Site) {
		c.Grants = []Grant{{Role: "admin", To: []string{newSigner(1).address()}}}
		s.Rules = []policy.Rule{{Roles: []string{"admin"}, Paths: []string{"/admin"}}}
	})
	var a passkeytest.Authenticator
	tokens := h.signInTokens(newSigner(1))
	h.register(&a, `{}`, "", tokens.bearer()...).ok(new(map[string]any))
	pair, _ := h.touch(&a, `{}`, `,"session":"cookie"`).cookie()
	cookie := []string{"Cookie", pair}
	for _, who := range [][]string{tokens.bearer(), cookie} {
		if a := h.visit("/admin", who); a.Code != 418 {
			t.Fatalf("answered %d", a.Code)
		}
	}
	if a := h.do("DELETE", "credentials/"+h.idOf(authcore.Wallet, cookie...), "", cookie...); a.Code != http.StatusNoContent {
		t.Fatalf("answered %d", a.Code)
	}
	h.visit("/admin", cookie).refused(403, "forbidden")
	h.visit("/admin", tokens.bearer()).refused(401, "unauthenticated") // it is to be refreshed
	h.now = h.now.Add(time.Second)
	var next signedInView
	h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, tokens.RefreshToken)).ok(&next)
	h.visit("/admin", next.bearer()).refused(403, "forbidden")
	if len(next.User.Roles)+len(next.User.Wallets) > 0 {
		t.Errorf("user: %+v", next.User)
	}
	h.now = h.now.Add(h.realm.AccessToken + time.Minute)
	if err := h.realm.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.realm.State.outdated) > 0 {
		t.Error("the deletion is still remembered")
	}
}

// A stored record that cannot be read must not lock its owner out of the list, nor make browsers forget the passkey.
func TestUnreadablePasskeyIsListed(t *testing.T) {
	h := build(t, passkeysOn)
	var a passkeytest.Authenticator
	v := h.newcomer(&a, "alice")
	all, err := h.store.CredentialsOf(t.Context(), v.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	all[0].Data = []byte("{")
	if err := h.store.UpdateCredential(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	l := h.list(v.bearer()...)
	if len(l.Credentials) != 1 || len(l.Signals.IDs) != 1 {
		t.Errorf("%+v", l)
	}
	h.touch(&a, `{}`, "").refused(503, "unavailable")
}

func TestCredentialsWhileTheStoreIsDown(t *testing.T) {
	h := build(t, passkeysOn)
	v := h.newcomer(new(passkeytest.Authenticator), "alice")
	h.register(new(passkeytest.Authenticator), `{}`, "", v.bearer()...).ok(new(map[string]any))
	id := h.list(v.bearer()...).Credentials[0].ID
	for _, method := range []string{"CredentialsOf", "Session", "User"} {
		h.faults.breakDown(method)
		if method == "CredentialsOf" {
			h.do("GET", "credentials", "", v.bearer()...).refused(503, "unavailable")
		}
		h.do("DELETE", "credentials/"+id, "", v.bearer()...).refused(503, "unavailable")
		h.do("PATCH", "credentials/"+id, `{"name":"x"}`, v.bearer()...).refused(503, "unavailable")
		h.faults.repair()
	}
	if err := h.store.DeleteUser(t.Context(), v.User.ID); err != nil && !errors.Is(err, authcore.ErrUserNotFound) {
		t.Fatal(err)
	}
	h.do("DELETE", "credentials/"+id, "", v.bearer()...).refused(401, "unauthenticated")
}
