package gateway

import (
	"testing"

	"github.com/caddy-authgate/authgate/authcore/keysign"
)

const (
	ed25519Grantee = "ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
	walletGrantee  = "0x52908400098527886E0F7030069857D2E4169EE7"
	solanaGrantee  = "solana:9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"
)

// A way that is off is missing for what is had by it, and for nothing else.
func TestWhatIsMissingForAGrant(t *testing.T) {
	const (
		noMail   = "no mail is configured, by which addresses are confirmed"
		noWallet = "sign-in with wallets is off"
		noSolana = "sign-in with wallets of Solana is not on"
		noKeys   = "sign-in with keys of the kind ed25519 is not on"
	)
	all := Ways{Mail: true, Wallet: true, Solana: true, Keys: []keysign.Kind{keysign.Ed25519}}
	for _, c := range []struct {
		to   string
		none string // what is missing where nothing is on
		but  func(*Ways)
	}{
		{"alice@example.com", noMail, func(w *Ways) { w.Mail = false }},
		{walletGrantee, noWallet, func(w *Ways) { w.Wallet = false }},
		{"eip155:10:" + walletGrantee, noWallet, func(w *Ways) { w.Wallet = false }},
		{solanaGrantee, noSolana, func(w *Ways) { w.Solana = false }},
		{ed25519Grantee, noKeys, func(w *Ways) { w.Keys = []keysign.Kind{keysign.MLDSA65} }},
		{"alice", "", func(*Ways) {}},
		{"0x1234", "", func(*Ways) {}},
	} {
		some := all
		c.but(&some)
		if got := (Ways{}).Missing(c.to); got != c.none {
			t.Errorf("%s, nothing on: %q, want %q", c.to, got, c.none)
		}
		if got := some.Missing(c.to); got != c.none {
			t.Errorf("%s, all but its own on: %q, want %q", c.to, got, c.none)
		}
		if got := all.Missing(c.to); got != "" {
			t.Errorf("%s, all on: %q", c.to, got)
		}
	}
}

// Whoever starts with a grant to somebody who cannot come in is told how to come in, as whoever starts with none is.
func TestUnmannedCountsGrantsWhoseWayIsOn(t *testing.T) {
	admin := func(to ...string) func(*RealmConfig, *Site) {
		return func(c *RealmConfig, _ *Site) {
			c.OpenRegistration, c.Grants = false, []Grant{{Role: AdminRole, To: to}}
		}
	}
	closed := func(c *RealmConfig, _ *Site) { c.OpenRegistration = false }
	noWallet := func(c *RealmConfig, _ *Site) { c.Wallet, c.Passkey = nil, &PasskeyConfig{} }
	mail := func(c *RealmConfig, _ *Site) { c.Mail = &MailConfig{} }
	passwords := func(c *RealmConfig, _ *Site) { c.Mail, c.Password = &MailConfig{}, &PasswordConfig{} }
	keys := func(c *RealmConfig, _ *Site) { c.Keys = []keysign.Kind{keysign.Ed25519} }
	for _, c := range []struct {
		name   string
		change []func(*RealmConfig, *Site)
		want   bool
	}{
		{"nothing granted", []func(*RealmConfig, *Site){closed}, true},
		{"open", nil, false},
		{"to a wallet", []func(*RealmConfig, *Site){admin(walletGrantee)}, false},
		{"to a wallet, wallets off", []func(*RealmConfig, *Site){admin(walletGrantee), noWallet}, true},
		{"to a mailbox, no mail", []func(*RealmConfig, *Site){admin("alice@example.com")}, true},
		{"to a mailbox, mail and no passwords", []func(*RealmConfig, *Site){admin("alice@example.com"), mail}, true},
		{"to a mailbox, passwords", []func(*RealmConfig, *Site){admin("alice@example.com"), passwords}, false},
		{"to a key, keys off", []func(*RealmConfig, *Site){admin(ed25519Grantee)}, true},
		{"to a key", []func(*RealmConfig, *Site){admin(ed25519Grantee), keys}, false},
		{"to one who can and one who cannot", []func(*RealmConfig, *Site){admin("alice@example.com", walletGrantee)}, false},
	} {
		got, err := build(t, c.change...).realm.Unmanned(t.Context())
		if err != nil || got != c.want {
			t.Errorf("%s: %t %v", c.name, got, err)
		}
	}
}
