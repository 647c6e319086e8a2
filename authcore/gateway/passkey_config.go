package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
)

// PasskeyConfig configures passkeys. The zero value of a field is its default.
type PasskeyConfig struct {
	// RPID is the domain that passkeys belong to: the host of each site's origin, or one above it. Default: the host of the
	// site's own origin, so that each site has passkeys of its own. It is chosen once: passkeys stay with the one they
	// were made for.
	RPID           string
	RPName         string   // shown by some browsers; default: the RPID
	RelatedOrigins []string // further origins that use the passkeys of RPID without being below it

	UserVerification            passkey.UserVerification // default: required
	Attestation                 passkey.Attestation      // default: none
	ForbidSynced                bool                     // passkeys must be bound to one device
	AllowAAGUIDs, RefuseAAGUIDs []passkey.AAGUID         // models of authenticators; none: any
	ChallengeTTL                time.Duration            // default 5 min

	// Required makes a site whose origin cannot have passkeys, an IP address say, an error. Else such a site does not
	// offer them, unless its Methods name them.
	Required bool
}

// ceremonies answers the passkeys of the realm, nil where they are off.
func (r *Realm) ceremonies(p *PasskeyConfig) (*passkey.Ceremonies, error) {
	if p == nil {
		return nil, nil
	}
	c := &passkey.Ceremonies{
		Challenges: r.Challenges.Challenges, Credentials: r.Stores.Credentials,
		RPID: p.RPID, RPName: p.RPName, RelatedOrigins: p.RelatedOrigins,
		UserVerification: p.UserVerification, Attestation: p.Attestation, ForbidSynced: p.ForbidSynced,
		AllowAAGUIDs: p.AllowAAGUIDs, RefuseAAGUIDs: p.RefuseAAGUIDs,
		// The signing keys are what all instances share. What is answered for usernames without passkeys changes when the
		// next key signs, every thirty days, and what is answered for others does not: who asks for that long could tell.
		Secret: func(ctx context.Context) ([]byte, error) { return r.keys.Secret(ctx, "passkey decoys") },
		TTL:    p.ChallengeTTL, Now: r.Now, Rand: r.Rand,
	}
	return c, c.Validate()
}

// offered answers the methods of a site: those asked for, which the realm must have, or all that the realm has and that
// work on this origin.
func offered(realm *Realm, o origin, asked []authcore.Method) ([]authcore.Method, error) {
	has := realm.methods()
	if len(has) == 0 {
		return nil, errors.New("gateway: no sign-in method is on: switch one on in the global authgate options")
	}
	for i, m := range asked {
		if slices.Contains(asked[:i], m) {
			return nil, fmt.Errorf("gateway: methods: %q stands twice; write it once", m)
		}
		switch m {
		case authcore.Passkey, authcore.Wallet, authcore.Password, authcore.ProgramKey:
		default:
			return nil, fmt.Errorf("gateway: methods: %q: there is no such way to sign in; write passkey, wallet, password or key", m)
		}
		if !slices.Contains(has, m) {
			return nil, fmt.Errorf("gateway: methods: %q is not on: switch it on in the global authgate options, or leave it out", m)
		}
	}
	methods := has
	if len(asked) > 0 {
		methods = asked
	}
	if !slices.Contains(methods, authcore.Passkey) {
		return methods, nil
	}
	err := realm.passkeys.Validate(o.text)
	if err == nil {
		return methods, nil
	}
	others := slices.DeleteFunc(slices.Clone(methods), func(m authcore.Method) bool { return m == authcore.Passkey })
	switch {
	case len(others) == 0:
		return nil, fmt.Errorf("gateway: %w", err)
	case len(asked) > 0 || realm.Passkey.Required:
		return nil, fmt.Errorf("gateway: %w, or offer no passkeys on this site: methods %s", err, others[0])
	}
	return others, nil
}
