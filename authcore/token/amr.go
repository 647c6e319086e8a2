package token

import (
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

// AMR answers the "amr" values of methods that were used in a session (RFC 8176 section 2), sorted:
//
//   - a wallet proves possession of a key, of which nobody knows whether hardware guards it: "pop", neither "hwk" nor
//     "swk". That a person confirmed the signature cannot be known either, so not "user".
//   - a key of a program is "pop" likewise.
//   - a passkey proves possession of a key and, by WebAuthn, that a user was present: "pop" and "user". One that is bound to
//     its device is "hwk", a synced one "swk".
//   - a password is "pwd".
//   - two factors are "mfa": a passkey whose user was verified (something had, and something known or inherent), or a
//     password together with a key (something known and something had). A wallet, a
//     program's key and a passkey whose user was not verified are all something had.
func AMR(methods []authcore.MethodUse) []string {
	var values []string
	known, had, verified := false, false, false
	for _, use := range methods {
		switch use.Method {
		case authcore.Wallet, authcore.ProgramKey:
			values, had = append(values, "pop"), true
		case authcore.Passkey:
			values, had = append(values, "pop", "user"), true
			if use.DeviceBound {
				values = append(values, "hwk")
			} else {
				values = append(values, "swk")
			}
			verified = verified || use.UserVerified
		case authcore.Password:
			values, known = append(values, "pwd"), true
		}
	}
	if known && had || verified {
		values = append(values, "mfa")
	}
	slices.Sort(values)
	return slices.Compact(values)
}
