package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/keysign"
	"github.com/caddy-authgate/authgate/authcore/passkey"
	"github.com/caddy-authgate/authgate/authcore/password"
	"github.com/caddy-authgate/authgate/authcore/session"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// The refusals of the gateway's own routes that no mechanism makes.
var (
	errNotFound         = &Error{Status: http.StatusNotFound, Code: "not_found", Detail: "There is nothing here."}
	errMethodNotAllowed = &Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "This cannot be done here with that method."}
	errTooEarly         = &Error{Status: http.StatusTooEarly, Code: "too_early", Detail: "Send this again once the connection is established."}
	errMediaType        = &Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "The body must be application/json in UTF-8."}
	errTooLarge         = &Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "The body is larger than 64 KiB."}
	errSlowBody         = &Error{Status: http.StatusRequestTimeout, Code: "request_timeout", Detail: "The body did not arrive in time."}
	errInvalidRequest   = &Error{Status: http.StatusBadRequest, Code: "invalid_request", Detail: "The body is not the JSON object that is expected here."}
	errTooMany          = &Error{Status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "Too many tries in a short time. Try again later."}
	errClosedToNew      = &Error{Status: http.StatusForbidden, Code: "registration_closed", Detail: "There is no account for this, and none can be opened."}
	errDisabled         = &Error{Status: http.StatusForbidden, Code: "account_disabled", Detail: "This account is disabled."}
	errInvalidGrant     = &Error{Status: http.StatusUnauthorized, Code: "invalid_grant", Detail: "The refresh token is not good, or no longer. Sign in again."}
	errBrokenPage       = &Error{Status: http.StatusInternalServerError, Code: "internal", Detail: "This page cannot be shown."}
)

// ErrReplaced is for a request to a configuration that is used no more, where no other one takes it ([Gateway.Current]).
var ErrReplaced = &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "The configuration has just changed. Try again."}

var errLeaving = &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "This instance is about to end."}

var (
	errInvalidMessage   = &Error{Status: http.StatusBadRequest, Code: "invalid_message", Detail: "The message is not the one to be signed here."}
	errInvalidSignature = &Error{Status: http.StatusBadRequest, Code: "invalid_signature", Detail: "The signature is not that of the wallet or key in the message."}
)

const invalidAssertion = "This passkey cannot be used here."

// errNoCeremony and errLateCeremony are authcore.ErrChallengeNotFound and authcore.ErrChallengeExpired on the routes of
// passkeys, whose clients know them by other statuses than those of wallets.
var (
	errNoCeremony   = &Error{Status: http.StatusBadRequest, Code: "challenge_not_found", Detail: "This was not asked for here, or was answered already. Start again."}
	errLateCeremony = &Error{Status: http.StatusRequestTimeout, Code: "challenge_expired", Detail: "This took too long. Start again."}
)

// errNoRegistration and errLateRegistration are authcore.ErrConfirmationNotFound and authcore.ErrConfirmationExpired where
// the key is that of a pending user.
var (
	errNoRegistration   = &Error{Status: http.StatusNotFound, Code: "registration_not_found", Detail: "This link was used already, or a newer one was sent. Sign in, or register again."}
	errLateRegistration = &Error{Status: http.StatusPreconditionFailed, Code: "registration_expired", Detail: "This link has expired. Register again."}
)

// answers says what an error of a mechanism or a store is to a client: the first line that fits. Being unavailable
// comes first since it is never a verdict, whatever else it wraps.
var answers = []struct {
	is error
	*Error
}{
	// No verdict either, and so before all those.
	{wallet.ErrRPCUnavailable, &Error{Status: http.StatusServiceUnavailable, Code: "rpc_unavailable", Detail: "The chain of this wallet cannot be asked now. Try again in a moment."}},
	{authcore.ErrUnavailable, unavailable(nil).Error},
	{wallet.ErrInvalidAddress, &Error{Status: http.StatusBadRequest, Code: "invalid_address", Detail: "This is not the address of a wallet."}},
	{wallet.ErrChainNotAllowed, &Error{Status: http.StatusBadRequest, Code: "chain_not_allowed", Detail: "Wallets on this chain cannot sign in here."}},
	{wallet.ErrInvalidMessage, errInvalidMessage},
	{wallet.ErrInvalidSignature, errInvalidSignature},
	{keysign.ErrInvalidKey, &Error{Status: http.StatusBadRequest, Code: "invalid_key", Detail: "This is not a key that can sign in."}},
	{keysign.ErrKindOff, &Error{Status: http.StatusBadRequest, Code: "key_not_allowed", Detail: "Keys of this kind cannot sign in here."}},
	{keysign.ErrInvalidMessage, errInvalidMessage},
	{keysign.ErrInvalidSignature, errInvalidSignature},
	{authcore.ErrChallengeNotFound, &Error{Status: http.StatusNotFound, Code: "challenge_not_found", Detail: "This challenge was not issued for this, or was answered already."}},
	{authcore.ErrChallengeExpired, &Error{Status: http.StatusPreconditionFailed, Code: "challenge_expired", Detail: "This challenge has expired. Ask for a new one."}},
	{authcore.ErrChallengeLimit, errTooMany},
	{authcore.ErrCredentialInUse, &Error{Status: http.StatusConflict, Code: "credential_in_use", Detail: "This belongs to another account."}},
	{authcore.ErrInvalidUsername, &Error{Status: http.StatusBadRequest, Code: "invalid_username", Detail: "A username is 1 to 64 of a–z, 0–9, '.', '_' and '-', begins with a letter or digit and is no address."}},
	{authcore.ErrUsernameTaken, &Error{Status: http.StatusConflict, Code: "username_taken", Detail: "Somebody has this username already."}},
	{authcore.ErrLastCredential, &Error{Status: http.StatusConflict, Code: "last_credential", Detail: "This is the last way to sign in here. Add another one first."}},
	{authcore.ErrCredentialNotFound, &Error{Status: http.StatusNotFound, Code: "credential_not_found", Detail: "This account has no such way to sign in."}},
	{passkey.ErrNoPasskey, &Error{Status: http.StatusNotFound, Code: "credential_not_found", Detail: "This account has no passkey for this site."}},
	{passkey.ErrInvalidAttestation, &Error{Status: http.StatusBadRequest, Code: "invalid_attestation", Detail: "This passkey cannot be taken."}},
	// WebAuthn Level 3 section 5.1.10.2. Only where no passkeys were asked for by name is it told that one is unknown, so
	// that nobody learns by it whose passkeys are which.
	{passkey.ErrUnknownCredential, &Error{Status: http.StatusUnauthorized, Code: "invalid_assertion", Detail: invalidAssertion, signal: "unknownCredential"}},
	{passkey.ErrInvalidAssertion, &Error{Status: http.StatusUnauthorized, Code: "invalid_assertion", Detail: invalidAssertion}},
	{session.ErrInvalidGrant, errInvalidGrant},
	{password.ErrInvalidCredentials, &Error{Status: http.StatusUnauthorized, Code: "invalid_credentials", Detail: "The address or the password is wrong, or too many tries were made with it. Try again later."}},
	{password.ErrInvalidEmail, &Error{Status: http.StatusBadRequest, Code: "invalid_email", Detail: "This is not an e-mail address that can be used here."}},
	{password.ErrWeakPassword, &Error{Status: http.StatusBadRequest, Code: "weak_password", Detail: "This password cannot be used here."}},
	{password.ErrClosed, errClosedToNew},
	{password.ErrPasswordRequired, &Error{Status: http.StatusForbidden, Code: "password_required", Detail: "Choose a password: the registration was made in another browser."}},
	{password.ErrNoEmail, &Error{Status: http.StatusConflict, Code: "email_required", Detail: "Confirm an e-mail address first."}},
	{authcore.ErrEmailTaken, &Error{Status: http.StatusConflict, Code: "email_taken", Detail: "This address belongs to another account."}},
	{authcore.ErrConfirmationNotFound, &Error{Status: http.StatusNotFound, Code: "key_not_found", Detail: "This link was used already, or a newer one was sent."}},
	{authcore.ErrConfirmationExpired, &Error{Status: http.StatusPreconditionFailed, Code: "key_expired", Detail: "This link has expired. Ask for a new one."}},
	{authcore.ErrInviteNotFound, &Error{Status: http.StatusNotFound, Code: "invite_not_found", Detail: "There is no such invite, or no longer."}},
	{authcore.ErrInviteExpired, &Error{Status: http.StatusPreconditionFailed, Code: "invite_expired", Detail: "This invite has expired or was used. Ask for a new one."}},
	{authcore.ErrPersonalAccessTokenNotFound, errNoToken},
	{authcore.ErrInvalidCursor, &Error{Status: http.StatusBadRequest, Code: "invalid_cursor", Detail: "There is no such place in this list. Begin again."}},
	{ErrLastAdministrator, &Error{Status: http.StatusConflict, Code: "last_administrator", Detail: "This is the last account that can sign in and administer. Give the role to another one first."}},
	{ErrGranted, &Error{Status: http.StatusConflict, Code: "role_granted", Detail: "This role is granted in the configuration, and is to be taken away there."}},
	{ErrInvalidRole, &Error{Status: http.StatusBadRequest, Code: "invalid_role", Detail: "A role is 1 to 64 letters, digits, '-', '_', '.' and ':'."}},
	{ErrOwnAccount, &Error{Status: http.StatusConflict, Code: "own_account", Detail: "You cannot do this to your own account."}},
	{ErrNotAdministrator, errForbidden},
	// The session or its user went away between two steps of one request.
	{authcore.ErrSessionNotFound, errSignedOut},
	{authcore.ErrUserNotFound, errSignedOut},
}

// asError answers what err is to a client. What nobody expected is told as unavailable: it says that the work was not
// done, and nothing else.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	for _, a := range answers {
		if errors.Is(err, a.is) {
			e = a.because(err)
			if errors.Is(err, wallet.ErrChainNotChecked) {
				e.reason = "chain_not_checked"
			}
			var weak *password.WeakError
			if errors.As(err, &weak) {
				e.reason = weak.Reason
			}
			return e
		}
	}
	return unavailable(err).Error
}

// because answers e with a cause for the log.
func (e *Error) because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// to answers e as told to somebody who is signed in, which the error page shows; nil leaves it as it is.
func (e *Error) to(id *authcore.Identity) *Error {
	if id == nil {
		return e
	}
	c := *e
	c.identity = id
	return &c
}

// retryAfter is what a client is told to wait, in seconds, where nothing better is known. Stores that come back are
// noticed sooner.
const retryAfter = "5"

// setErrorHeaders sets the headers that belong to a refusal, whoever writes its body.
func (g *Gateway) setErrorHeaders(h http.Header, e *Error) {
	h["Cache-Control"] = []string{"no-store"}
	switch e.Status {
	case http.StatusUnauthorized:
		// RFC 9110 section 11.6.1: a 401 must say how to authenticate. Browsers show no dialog for Bearer (RFC 6750). What
		// other clients could do better with is for challenge to say.
		h["Www-Authenticate"] = []string{`Bearer realm="` + g.origin.text + `"`}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if h["Retry-After"] == nil {
			h["Retry-After"] = []string{retryAfter}
		}
	}
}

// name tells the log and the client of a refusal under one name, which it answers; "" where there is none.
func (g *Gateway) name(w http.ResponseWriter, r *http.Request, e *Error) string {
	id := g.realm.RequestID(r)
	g.logError(r, e, id)
	if id != "" {
		w.Header()["X-Request-Id"] = []string{id} // it is random, so that two refusals which are to be one stay alike
	}
	return id
}

// WriteError answers a request with a refusal or failure: the error page in front of a person, a problem document
// (RFC 9457) to a program. Errors that are no *Error are told as 503 without their text; the cause goes to the log.
func (g *Gateway) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	id := g.name(w, r, e)
	_, own := g.ownPath(r)
	if !own && isCall(r) {
		writeCall(w, r, e)
		return
	}
	setOwnHeaders(w.Header())
	g.setErrorHeaders(w.Header(), e)
	g.challenge(w.Header(), r, e, own)
	if g.site.Pages != nil && g.isNavigation(r) {
		p := g.page("error", e.Status, e.identity)
		if e.Code == codeLoop {
			p.Name, p.Cause, p.Here = "loop", e.reason, r.Host
		}
		p.ReturnTo, p.Problem, p.RequestID = g.wayBack(r), e, id
		if e.Code == errNoHandOff.Code && g.away() {
			p.Again = g.wanted(r)
		}
		err := g.site.Pages.ServePage(w, r, p)
		if err == nil {
			return
		}
		g.realm.Logger.LogAttrs(r.Context(), slog.LevelError, "error page failed", slog.Any("error", err))
	}
	w.Header()["Content-Type"] = []string{"application/problem+json"}
	// RFC 9457 section 4.2.1: about:blank has the status phrase as title, the code tells one problem from another.
	writeJSONBody(w, r, e.Status, struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
		Reason string `json:"reason,omitempty"`
		Signal string `json:"signal,omitempty"`
		*evidence
	}{"about:blank", http.StatusText(e.Status), e.Status, e.Code, e.Detail, e.reason, e.signal, e.evidence})
}

// logError tells the operator what the client is not told; id is what the answer names. Refusals are what a gateway is for; only failures stand out.
func (g *Gateway) logError(r *http.Request, e *Error, id string) {
	level := slog.LevelDebug
	if e.Status >= 500 && !errors.Is(r.Context().Err(), context.Canceled) {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.Int("status", e.Status), slog.String("code", e.Code), slog.String("client", g.realm.ClientIP(r).String()), slog.String("request_id", id)}
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	g.realm.Logger.LogAttrs(r.Context(), level, "request refused", attrs...)
}

func writeJSON(w http.ResponseWriter, r *http.Request, body any) error {
	w.Header()["Content-Type"] = []string{"application/json"}
	return writeJSONBody(w, r, http.StatusOK, body)
}

func writeJSONBody(w http.ResponseWriter, r *http.Request, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	writeBody(w, r, status, append(b, '\n'))
	return nil
}

func writeBody(w http.ResponseWriter, r *http.Request, status int, b []byte) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // the client is gone; there is nobody to tell
	}
}
