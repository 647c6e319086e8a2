package caddymodule

import (
	"errors"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// An operator types an origin, or writes it in the configuration, in another way than browsers show it.
func TestBaseOfOriginsAsTheyAreTyped(t *testing.T) {
	sites := []Handler{{Origin: "https://App.example.com/"}, {Origin: "https://wiki.example.com", Path: "/door"}, {Origin: "https://app.example.com:443"}}
	for typed, want := range map[string]string{
		"https://app.example.com": "https://app.example.com/auth", "https://APP.example.com:443/": "https://app.example.com/auth",
		"https://wiki.example.com/": "https://wiki.example.com/door", "https://wiki.example.com:8443": "", "": "", "wiki.example.com": "",
	} {
		got, err := baseOf(sites, typed)
		if got != want || (want == "") != errors.Is(err, gateway.ErrWhichSite) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
}
