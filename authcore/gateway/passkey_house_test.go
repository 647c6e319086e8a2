package gateway

import (
	"encoding/json"
	"fmt"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

func passkeysOn(c *RealmConfig, _ *Site) { c.Passkey = &PasskeyConfig{} }

// begunView is what the routes that begin a ceremony answer.
type begunView struct {
	ChallengeID     string
	CreationOptions json.RawMessage
	RequestOptions  json.RawMessage
}

// begin asks for a ceremony.
func (h *house) begin(route, body string, headers ...string) begunView {
	h.t.Helper()
	var b begunView
	h.do("POST", route, body, headers...).ok(&b)
	return b
}

// created is the body that answers a registration; more holds further members.
func (h *house) created(a *passkeytest.Authenticator, b begunView, more string) string {
	h.t.Helper()
	response, err := a.Create(b.CreationOptions, h.gateway.origin.text)
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf(`{"challengeID":%q,"credential":%s%s}`, b.ChallengeID, response, more)
}

// asserted is the body that answers an authentication.
func (h *house) asserted(a *passkeytest.Authenticator, b begunView, more string) string {
	h.t.Helper()
	response, err := a.Get(b.RequestOptions, h.gateway.origin.text)
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf(`{"challengeID":%q,"credential":%s%s}`, b.ChallengeID, response, more)
}

// register goes through both parts of a registration.
func (h *house) register(a *passkeytest.Authenticator, wanted, more string, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "registration/response", h.created(a, h.begin("registration/request", wanted, headers...), more), headers...)
}

// newcomer opens an account with a new passkey, as programs do.
func (h *house) newcomer(a *passkeytest.Authenticator, username string) signedInView {
	h.t.Helper()
	var v signedInView
	h.register(a, fmt.Sprintf(`{"username":%q}`, username), "").ok(&v)
	return v
}

// touch goes through both parts of an authentication.
func (h *house) touch(a *passkeytest.Authenticator, wanted, more string, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "authentication/response", h.asserted(a, h.begin("authentication/request", wanted, headers...), more), headers...)
}

// prove goes through both parts of a step-up with a passkey.
func (h *house) prove(a *passkeytest.Authenticator, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "step-up/authentication/response", h.asserted(a, h.begin("step-up/authentication/request", `{}`, headers...), ""), headers...)
}
