package gateway

import "net/http"

// wellKnown is the folder of what others look for at a fixed place on an origin (RFC 8615), outside of the mount.
const wellKnown = "/.well-known/"

// addWellKnown adds the routes below /.well-known/ that belong to passkeys.
func (g *Gateway) addWellKnown(routes map[string]route) error {
	p := g.realm.passkeys
	// WebAuthn Level 3 section 5.11.1: browsers ask the host that is the relying party, and no other.
	if len(p.RelatedOrigins) > 0 && g.origin.host == p.RPID {
		origins, err := p.WellKnown()
		if err != nil {
			return err
		}
		routes[wellKnown+"webauthn"] = route{get: func(w http.ResponseWriter, r *http.Request, _ *visitor) error {
			writePublic(w, r, origins)
			return nil
		}}
	}
	if g.site.Pages != nil {
		routes[wellKnown+"passkey-endpoints"] = route{get: g.showPasskeyEndpoints}
	}
	return nil
}

// showPasskeyEndpoints tells password managers where people make and manage passkeys (W3C, A Well-Known URL for Passkey
// Endpoints).
func (g *Gateway) showPasskeyEndpoints(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	account := g.origin.text + g.site.Path + "/account"
	w.Header()["Cross-Origin-Resource-Policy"] = []string{"cross-origin"}
	return writeJSON(w, r, struct {
		Enroll string `json:"enroll"`
		Manage string `json:"manage"`
	}{account, account})
}

// writePublic writes JSON that is meant for other origins.
func writePublic(w http.ResponseWriter, r *http.Request, b []byte) {
	w.Header()["Cross-Origin-Resource-Policy"] = []string{"cross-origin"}
	w.Header()["Content-Type"] = []string{"application/json"}
	writeBody(w, r, http.StatusOK, b)
}
