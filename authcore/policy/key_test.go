package policy

import (
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

// Wallets of Solana and keys of programs are compared with case: two addresses in base 58 that differ in it are two people.
func TestUserKeys(t *testing.T) {
	const (
		solana = "solana:AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9"
		plain  = "ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
	)
	p, err := Compile([]Rule{{Source: "Caddyfile:1", Users: []string{solana, plain}}}, "/auth")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		id   authcore.Identity
		want Verdict
	}{
		{"wallet", authcore.Identity{Wallets: []string{solana}}, Allow},
		{"key", authcore.Identity{Keys: []string{plain}}, Allow},
		{"wallet in another case", authcore.Identity{Wallets: []string{"solana:aKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9"}}, Forbidden},
		{"another key", authcore.Identity{Keys: []string{solana + "1"}}, Forbidden},
		// An account may keep as username the key that it was opened with, after that was unlinked.
		{"username", authcore.Identity{Username: solana}, Forbidden},
		{"nothing", authcore.Identity{}, Forbidden},
	} {
		c.id.Subject = "1"
		if got := p.Judge(Request{Method: "GET", Path: "/", Identity: &c.id}).Verdict; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for _, user := range []string{"solana:", "solana:a:b", "ed25519:a b", "rsa:aa"} {
		if _, err := Compile([]Rule{{Source: "Caddyfile:1", Users: []string{user}}}, "/auth"); err == nil {
			t.Errorf("%q is taken", user)
		}
	}
}
