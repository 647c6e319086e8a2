package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// Ways are the ways in which accounts come to have what grants, and rules for users, name.
type Ways struct {
	Mail   bool           // e-mail addresses are confirmed
	Wallet bool           // wallets of Ethereum sign in
	Solana bool           // and those of Solana
	Keys   []keysign.Kind // of programs that sign in
}

// Ways answers those of the realm.
func (r *Realm) Ways() Ways {
	return Ways{Mail: r.Mail != nil, Wallet: r.Wallet != nil, Solana: r.Wallet != nil && r.Wallet.Solana != "", Keys: r.Keys}
}

// Missing says what is off without which no account comes to have an e-mail address, a wallet or a key, as grants and rules
// write them; empty where nothing is, and for usernames. Accounts keep what they had before it was switched off.
func (w Ways) Missing(to string) string {
	if strings.Contains(to, "@") {
		if !w.Mail {
			return "no mail is configured, by which addresses are confirmed"
		}
		return ""
	}
	if _, err := wallet.ParseAccount(to); err == nil {
		if !w.Wallet {
			return "sign-in with wallets is off"
		}
		return ""
	}
	key, err := keysign.ParseAccount(to)
	switch {
	case err != nil: // a username, which everybody has
	case key.Kind == keysign.Solana && !w.Solana:
		return "sign-in with wallets of Solana is not on"
	case key.Kind != keysign.Solana && !slices.Contains(w.Keys, key.Kind):
		return "sign-in with keys of the kind " + string(key.Kind) + " is not on"
	}
	return ""
}

// Unmanned reports whether nobody can ever come in as it is: there are no accounts, strangers may open none and nothing is
// granted to anybody who could open one.
func (r *Realm) Unmanned(ctx context.Context) (bool, error) {
	ways := r.Ways()
	ways.Mail = r.Password != nil // it is with a password that one opens an account by an address
	for to := range r.grants {
		if ways.Missing(to) == "" {
			return false, nil
		}
	}
	if r.OpenRegistration || len(r.chainGrants) > 0 {
		return false, nil
	}
	page, err := r.Stores.Directory.FindUsers(ctx, authcore.UserQuery{Limit: 1})
	return err == nil && len(page.Users) == 0, err
}
