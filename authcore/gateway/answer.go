package gateway

import (
	"net/http"
	"strconv"
)

// challenge says how to authenticate, where a 401 is what is answered (RFC 9110 section 11.6.1), in words that this kind of
// client can do something with. own tells the gateway's own routes, which take no personal access tokens.
func (g *Gateway) challenge(h http.Header, r *http.Request, e *Error, own bool) {
	if e.Status != http.StatusUnauthorized {
		return
	}
	realm := `realm="` + g.origin.text + `"`
	bearer := "Bearer " + realm
	switch _, presented := bearerToken(r.Header); {
	case e.evidence != nil:
		// RFC 9470 section 3. Which methods count is in the body: there are no acr values here.
		bearer += `, error="insufficient_user_authentication"`
		if e.evidence.Within > 0 {
			bearer += `, max_age="` + strconv.FormatInt(e.evidence.Within, 10) + `"`
		}
	case presented && e.Code == codeUnauthenticated:
		bearer += `, error="invalid_token"` // RFC 6750 section 3.1; those that were taken are not there any more
	}
	h["Www-Authenticate"] = []string{bearer}
	if !own && g.takesPersonal() && e.evidence == nil && g.kindOf(r) == program {
		// First, for clients that look no further. Browsers would show a dialog to whoever is at some page.
		h["Www-Authenticate"] = []string{"Basic " + realm + `, charset="UTF-8"`, bearer}
	}
}

// takesPersonal reports whether there are personal access tokens, which clients that know nothing else can send as a password.
func (g *Gateway) takesPersonal() bool { return g.realm.Stores.PersonalAccessTokens != nil }

// Status codes of gRPC (doc/statuscodes.md of the protocol).
const (
	grpcUnknown           = 2
	grpcInvalidArgument   = 3
	grpcNotFound          = 5
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcInternal          = 13
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
)

// grpcStatus is what the HTTP status of a refusal is in gRPC.
func grpcStatus(status int) int {
	switch status {
	case http.StatusBadRequest:
		return grpcInvalidArgument
	case http.StatusUnauthorized:
		return grpcUnauthenticated
	case http.StatusForbidden:
		return grpcPermissionDenied
	case http.StatusNotFound:
		return grpcNotFound
	case http.StatusTooManyRequests:
		return grpcResourceExhausted
	case http.StatusServiceUnavailable, http.StatusTooEarly:
		return grpcUnavailable
	case http.StatusInternalServerError:
		return grpcInternal
	}
	return grpcUnknown
}

// writeCall answers a call of gRPC. Its clients look into no body: the status and the code stand in trailers, which without a
// body are the headers ("Trailers-Only" in doc/PROTOCOL-HTTP2.md of the protocol; gRPC-Web has the same).
func writeCall(w http.ResponseWriter, r *http.Request, e *Error) {
	h := w.Header()
	h["Content-Type"] = []string{r.Header.Get("Content-Type")}
	h["Cache-Control"] = []string{"no-store"}
	h["Grpc-Status"] = []string{strconv.Itoa(grpcStatus(e.Status))}
	h["Grpc-Message"] = []string{e.Code} // of letters and '_', so that nothing is to be percent-encoded
	w.WriteHeader(http.StatusOK)
}
