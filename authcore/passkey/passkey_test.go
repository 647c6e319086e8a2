package passkey

import (
	"testing"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

func TestRegisterAndSignIn(t *testing.T) {
	for name, algorithm := range map[string]passkeytest.Algorithm{
		"ES256": passkeytest.ES256, "EdDSA": passkeytest.EdDSA, "RS256": passkeytest.RS256,
	} {
		t.Run(name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{Algorithm: algorithm}
			c := h.account(t, a)
			for range 3 {
				done, err := h.signIn(t, a)
				if err != nil {
					t.Fatal(err)
				}
				if done.UserID != c.UserID || done.Evidence != (Evidence{UserVerified: true, DeviceBound: true}) || len(done.Events) != 0 {
					t.Errorf("%+v", done)
				}
			}
		})
	}
}
