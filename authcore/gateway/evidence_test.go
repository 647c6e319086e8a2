package gateway

import (
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// A rule that asks for a method nobody can have used here would lock out everybody it is for.
func TestRulesAskOnlyForMethodsThereAre(t *testing.T) {
	realm := build(t, passkeysOn).realm
	with := func(m ...authcore.Method) []policy.Rule {
		return []policy.Rule{{Source: "Caddyfile:7", SignedIn: true, With: m}}
	}
	wallet := []authcore.Method{authcore.Wallet}
	for _, c := range []struct {
		name string
		site Site
		want string
	}{
		{"both on", Site{Rules: with(authcore.Passkey, authcore.Wallet)}, ""},
		{
			"off everywhere",
			Site{Rules: with(authcore.Password)},
			`gateway: rule 1 at Caddyfile:7: with "password": nobody signs in here with that; known here: passkey wallet`,
		},
		{
			"off on this site",
			Site{Methods: wallet, Rules: with(authcore.Passkey)},
			`gateway: rule 1 at Caddyfile:7: with "passkey": nobody signs in here with that; known here: wallet`,
		},
		{"signed in at a neighbour", Site{Methods: wallet, CookieDomain: "example.com", Rules: with(authcore.Passkey)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.site.Origin = "https://app.example.com"
			got := ""
			if _, err := New(realm, c.site); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}
