package gateway

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
)

func related(c *RealmConfig, s *Site) {
	c.Passkey = &PasskeyConfig{RPID: "example.com", RelatedOrigins: []string{"https://example.net"}}
	s.Origin = "https://example.com"
}

// Browsers ask without cookies, and follow no redirect to sign in.
func TestRelatedOrigins(t *testing.T) {
	h := build(t, related)
	var told struct{ Origins []string }
	a := h.visit("/.well-known/webauthn", nil).ok(&told)
	if !slices.Equal(told.Origins, []string{"https://example.net"}) || a.Header().Get("Content-Type") != "application/json" ||
		a.Header().Get("Cross-Origin-Resource-Policy") != "cross-origin" {
		t.Errorf("%v %s", a.Header(), a.Body)
	}
	r := httptest.NewRequest("POST", "https://example.com/.well-known/webauthn", http.NoBody)
	h.serve(r).refused(405, "method_not_allowed")

	// The site that is related runs ceremonies; but the list is the relying party's.
	next := h.neighbour(Site{Origin: "https://example.net"})
	if !slices.Contains(next.gateway.site.Methods, authcore.Passkey) {
		t.Error("the related site offers no passkeys")
	}
	next.visit("/.well-known/webauthn", nil).refused(401, "unauthenticated")
	h.neighbour(Site{Origin: "https://app.example.com"}).visit("/.well-known/webauthn", nil).refused(401, "unauthenticated")
}

func TestPasskeyEndpoints(t *testing.T) {
	h := build(t, passkeysOn, func(_ *RealmConfig, s *Site) { s.Path = "/login" })
	var told struct{ Enroll, Manage string }
	h.visit("/.well-known/passkey-endpoints", nil).ok(&told)
	if told.Enroll != home+"/login/account" || told.Manage != told.Enroll {
		t.Errorf("%+v", told)
	}
	// What does not belong to the gateway is the backend's, under its rules.
	for _, path := range []string{"/.well-known/security.txt", "/.well-known/passkey-endpoints/", "/.well-known/Passkey-Endpoints", "/.well-known/webauthn", "/x/.well-known/passkey-endpoints"} {
		h.visit(path, nil).refused(401, "unauthenticated")
	}
	h.do("GET", ".well-known/passkey-endpoints", "").refused(401, "unauthenticated")
	build(t).visit("/.well-known/passkey-endpoints", nil).refused(401, "unauthenticated")
	// Without pages there is nothing to point to.
	build(t, passkeysOn, func(_ *RealmConfig, s *Site) { s.Pages = nil }).visit("/.well-known/passkey-endpoints", nil).refused(401, "unauthenticated")
}

func TestWherePasskeysAreOffered(t *testing.T) {
	both, only := []authcore.Method{authcore.Passkey, authcore.Wallet}, []authcore.Method{authcore.Passkey}
	for _, c := range []struct {
		name    string
		passkey *PasskeyConfig
		site    Site
		offers  []authcore.Method
		refused string // a part of the error
	}{
		{"by default", &PasskeyConfig{}, Site{Origin: home}, both, ""},
		{"off", nil, Site{Origin: home}, both[1:], ""},
		{"on this machine", &PasskeyConfig{Required: true}, Site{Origin: "http://localhost:8080"}, both, ""},
		{"IP address", &PasskeyConfig{}, Site{Origin: "https://192.0.2.1"}, both[1:], ""},
		{"single label", &PasskeyConfig{}, Site{Origin: "https://intranet"}, both[1:], ""},
		{"IP address, passkeys required", &PasskeyConfig{Required: true}, Site{Origin: "https://192.0.2.1"}, nil, "methods wallet"},
		{"IP address, passkeys required, site without", &PasskeyConfig{Required: true}, Site{Origin: "https://192.0.2.1", Methods: both[1:]}, both[1:], ""},
		{"IP address, passkeys named", &PasskeyConfig{}, Site{Origin: "https://192.0.2.1", Methods: []authcore.Method{authcore.Wallet, authcore.Passkey}}, nil, "methods wallet"},
		{"IP address, passkeys only", &PasskeyConfig{}, Site{Origin: "https://192.0.2.1", Methods: only}, nil, "IP address"},
		{"parent domain", &PasskeyConfig{RPID: "example.com", Required: true}, Site{Origin: home}, both, ""},
		{"another domain", &PasskeyConfig{RPID: "example.org", Required: true}, Site{Origin: home}, nil, "write rp_id app.example.com"},
		{"named", &PasskeyConfig{}, Site{Origin: home, Methods: only}, only, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, func(r *RealmConfig, s *Site) { r.Passkey, *s = c.passkey, Site{Origin: home, Methods: both[1:]} })
			g, err := New(h.realm, c.site)
			switch {
			case c.refused != "":
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("error %v, want %q", err, c.refused)
				}
			case err != nil:
				t.Error(err)
			case !slices.Equal(g.site.Methods, c.offers):
				t.Errorf("offers %q, want %q", g.site.Methods, c.offers)
			}
		})
	}
	h := build(t)
	for name, c := range map[string]*PasskeyConfig{
		"rp_id":             {RPID: "https://example.com"},
		"user_verification": {UserVerification: "discouraged"},
		"attestation":       {Attestation: "indirect"},
		"related origins":   {RelatedOrigins: []string{"https://example.net"}},
		"AAGUID":            {AllowAAGUIDs: make([]passkey.AAGUID, 1), RefuseAAGUIDs: make([]passkey.AAGUID, 1)},
	} {
		config := h.realm.RealmConfig
		config.Passkey = c
		if _, err := NewRealm(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
