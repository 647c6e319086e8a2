package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/password"
	"github.com/caddy-authgate/authgate/authcore/policy"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// grants are the roles given in the configuration: by EIP-55 address, by the credential key of another wallet or of a
// program, or by e-mail address in the form of password.ParseEmail.
type grants map[string][]string

// compileGrants parts what the configuration grants by its own words from what it grants by chains.
func compileGrants(list []Grant) (grants, []chainGrant, error) {
	g := make(grants)
	var byChain []chainGrant
	for _, l := range list {
		if !validRole(l.Role) {
			return nil, nil, fmt.Errorf("gateway: grant: role %q: write letters, digits, '-', '_', '.' or ':'", l.Role)
		}
		if len(l.To) == 0 {
			return nil, nil, fmt.Errorf("gateway: grant %s: name at least one address or e-mail", l.Role)
		}
		if isChainGrant(l.To) {
			holding, err := wallet.ParseHolding(l.To)
			if err != nil {
				return nil, nil, fmt.Errorf("gateway: grant %s: %w", l.Role, err)
			}
			byChain = append(byChain, chainGrant{l.Role, holding})
			continue
		}
		for _, to := range l.To {
			key, err := grantee(to)
			if err != nil {
				return nil, nil, fmt.Errorf("gateway: grant %s: %w", l.Role, err)
			}
			g[key] = append(g[key], l.Role)
		}
	}
	return g, byChain, nil
}

// grantee answers the one form of the address of a wallet or a mailbox.
func grantee(to string) (string, error) {
	if strings.Contains(to, "@") {
		email, err := password.ParseEmail(to)
		if err != nil {
			return "", fmt.Errorf("%q is not an e-mail address that can be used here: %w", to, err)
		}
		return email, nil
	}
	if key, err := keysign.ParseAccount(to); err == nil {
		return key.Key(), nil
	}
	a, err := wallet.ParseAccount(to)
	if err != nil {
		return "", fmt.Errorf("%q is neither an e-mail address, an Ethereum address nor a key (solana:…, ed25519:… or ml-dsa-65:…): %w", to, err)
	}
	return a.Key(), nil
}

// emails reports whether anything is granted to a mailbox.
func (g grants) emails() bool {
	for to := range g {
		if strings.Contains(to, "@") {
			return true
		}
	}
	return false
}

// validRole reports whether a role can be given: only what rules can ask for.
func validRole(s string) bool { return policy.ValidRole(s) }

// any reports whether anything is granted to this wallet or program (a credential key) or confirmed e-mail address.
func (g grants) any(key, email string) bool {
	return len(g[key]) > 0 || len(g[email]) > 0
}

// roles answers what is granted to whoever has the wallets, the keys and the confirmed e-mail address of this identity, in order.
func (g grants) roles(id *authcore.Identity) []string {
	var roles []string
	for _, w := range id.Wallets {
		roles = append(roles, g[w]...)
	}
	for _, k := range id.Keys {
		roles = append(roles, g[k]...)
	}
	roles = append(roles, g[id.Email]...)
	slices.Sort(roles)
	return slices.Compact(roles)
}

// identityOf answers who a session is, from the store. It is authcore.ErrSessionNotFound where the user is gone or
// disabled.
func (r *Realm) identityOf(ctx context.Context, s authcore.Session) (*authcore.Identity, error) {
	u, err := r.Stores.Users.User(ctx, s.UserID)
	switch {
	case errors.Is(err, authcore.ErrUserNotFound):
		return nil, fmt.Errorf("gateway: identity: %w", authcore.ErrSessionNotFound)
	case err != nil:
		return nil, err
	case u.Disabled:
		return nil, fmt.Errorf("gateway: identity: user is disabled: %w", authcore.ErrSessionNotFound)
	}
	creds, err := r.Stores.Credentials.CredentialsOf(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	id := &authcore.Identity{
		Subject: u.ID, SessionID: s.ID, Username: u.Username, Name: u.Name, Email: u.Email,
		Methods: slices.Clone(s.Methods),
	}
	for i := range id.Methods {
		id.Methods[i].Proof = "" // it can be large, and is nobody's to know
	}
	r.fill(id, u, creds)
	r.addChainRoles(ctx, id)
	return id, nil
}

// fill adds to an identity the wallets and keys that are linked, and all roles but those that depend on chains.
func (r *Realm) fill(id *authcore.Identity, u authcore.User, credentials []authcore.Credential) {
	for _, c := range credentials {
		switch c.Kind {
		case authcore.Wallet:
			id.Wallets = append(id.Wallets, c.Key)
		case authcore.ProgramKey:
			id.Keys = append(id.Keys, c.Key)
		}
	}
	id.Roles = append(slices.Clone(u.Roles), r.grants.roles(id)...)
	slices.Sort(id.Roles)
	id.Roles = slices.Compact(id.Roles)
}

// access answers who a session is and an access token that says so, good on this site and no longer than the session may
// last at all.
func (g *Gateway) access(ctx context.Context, s authcore.Session) (*authcore.Identity, string, time.Time, error) {
	// Both before the account is read, which can take a chain's time: what is taken away from the user meanwhile makes the
	// token out of date, too.
	now, from := g.realm.Now(), g.realm.State.outdatedUntil(s.UserID)
	id, err := g.realm.identityOf(ctx, s)
	if err != nil {
		return nil, "", time.Time{}, err
	}
	// What was taken away from the user in this very second is not in this token, unlike in those issued before.
	now = later(now, from)
	issuer := *g.realm.issuer
	issuer.AccessTTL = min(issuer.AccessTTL, s.Until.Sub(now))
	if issuer.AccessTTL < time.Second { // tokens tell whole seconds
		return nil, "", time.Time{}, fmt.Errorf("gateway: access token: %w", authcore.ErrSessionNotFound)
	}
	issuer.Now = func() time.Time { return now }
	tok, expires, err := issuer.Access(ctx, g.origin.text, g.audience, id)
	return id, tok, expires, err
}

// present answers who a session is as the store has it at this moment. It is authcore.ErrSessionNotFound where the session
// has ended, or its user is gone or disabled.
func (r *Realm) present(ctx context.Context, sessionID string, now time.Time) (*authcore.Identity, error) {
	if id, is := strings.CutPrefix(sessionID, personalSession); is {
		who, _, err := r.presentPersonal(ctx, id, now)
		return who, err
	}
	s, err := r.Stores.Sessions.Session(ctx, sessionID)
	switch {
	case err == nil && !s.Live(now):
		return nil, fmt.Errorf("gateway: session has expired: %w", authcore.ErrSessionNotFound)
	case err != nil:
		return nil, err
	}
	return r.identityOf(ctx, s)
}

// live answers nil where the store has the session and it has not ended, authcore.ErrSessionNotFound where it has.
func (r *Realm) live(ctx context.Context, id string, now time.Time) error {
	s, err := r.Stores.Sessions.Session(ctx, id)
	switch {
	case err == nil && !s.Live(now):
		return fmt.Errorf("gateway: session has expired: %w", authcore.ErrSessionNotFound)
	case err == nil, errors.Is(err, authcore.ErrSessionNotFound):
		return err
	}
	return fmt.Errorf("gateway: session: %w: %w", authcore.ErrUnavailable, err)
}

// home is where the sessions are good that are opened on this site: the cookie domain, or else its origin.
func (g *Gateway) home() string { return g.audience[len(g.audience)-1] }
