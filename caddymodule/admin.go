package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// Admin answers the commands of `caddy authgate` on Caddy's admin endpoint. It has no state, since Caddy makes one before
// the apps are there and keeps it when they are replaced.
type Admin struct{}

// CaddyModule names the module.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.authgate", New: func() caddy.Module { return new(Admin) }}
}

// Routes implements caddy.AdminRouter.
func (Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: command.UserShowPath, Handler: operate(showUser)},
		{Pattern: command.UserUnlockPath, Handler: operate(unlockUser)},
		{Pattern: command.UserListPath, Handler: operate(listUsers)},
		{Pattern: command.UserDisablePath, Handler: operate(disableUser)},
		{Pattern: command.UserEnablePath, Handler: operate(enableUser)},
		{Pattern: command.UserDeletePath, Handler: operate(deleteUser)},
		{Pattern: command.RoleGrantPath, Handler: operate(grantRole)},
		{Pattern: command.RoleRevokePath, Handler: operate(revokeRole)},
		{Pattern: command.SessionListPath, Handler: operate(listSessions)},
		{Pattern: command.SessionEndPath, Handler: operate(endSessions)},
		{Pattern: command.TokenListPath, Handler: operate(listTokens)},
		{Pattern: command.TokenRevokePath, Handler: operate(revokeTokens)},
		{Pattern: command.AuditPath, Handler: operate(listEvents)},
		{Pattern: command.AuditVerifyPath, Handler: operateWithin(0, verifyEvents)},
		{Pattern: command.ExplainPath, Handler: operate(explainRequest)},
		{Pattern: command.KeysRotatePath, Handler: operate(rotateKeys)},
		{Pattern: command.StatusPath, Handler: operate(showStatus)},
		{Pattern: command.InvitePath, Handler: operate(invite)},
		{Pattern: command.RecoverPath, Handler: operate(recoverAccount)},
		{Pattern: command.BackupPath, Handler: caddy.AdminHandlerFunc(backUp)},
	}
}

const (
	maxQuestion    = 64 << 10 // bytes
	operateTimeout = 20 * time.Second
)

// operate is a route of the admin endpoint: it decodes the question, has it answered by the running configuration, and
// encodes the answer.
func operate[Question, Answer any](do func(context.Context, *gateway.Realm, Question) (Answer, error)) caddy.AdminHandlerFunc {
	return operateWithin(operateTimeout, do)
}

// operateWithin is operate for what may take so long; zero: as long as the operator waits, since it goes through all there is.
func operateWithin[Question, Answer any](limit time.Duration, do func(context.Context, *gateway.Realm, Question) (Answer, error)) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := onlyPost(w, r); err != nil {
			return err
		}
		var question Question
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion))
		in.DisallowUnknownFields()
		if err := in.Decode(&question); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("the body is not understood: %w", err)}
		}
		realm, err := runningRealm()
		if err != nil {
			return err
		}
		ctx := r.Context()
		if limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
		answer, err := do(ctx, realm, question)
		if err != nil {
			return caddy.APIError{HTTPStatus: operateStatus(err), Err: advised(err)}
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(answer)
	}
}

func onlyPost(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		return nil
	}
	w.Header().Set("Allow", http.MethodPost)
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("only POST is answered here")}
}

// runningRealm is that of the configuration that runs now.
func runningRealm() (*gateway.Realm, error) {
	app, err := runningApp()
	if err != nil {
		return nil, err
	}
	return app.realm, nil
}

func runningApp() (*App, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("authgate")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, caddy.APIError{HTTPStatus: http.StatusConflict, Err: errors.New("the configuration that runs has no authgate in it")}
	}
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// advised adds what an operator can do.
func advised(err error) error {
	switch {
	case errors.Is(err, gateway.ErrLastAdministrator):
		return fmt.Errorf("%w; --force does it all the same", gateway.ErrLastAdministrator)
	case errors.Is(err, gateway.ErrGranted):
		return fmt.Errorf("%w; take it away there", gateway.ErrGranted)
	}
	return err
}

// operateStatus tells commands what kind of error it is.
func operateStatus(err error) int {
	switch {
	case errors.Is(err, authcore.ErrUnavailable):
		return http.StatusServiceUnavailable
	case errors.Is(err, authcore.ErrUserNotFound):
		return http.StatusNotFound
	case errors.Is(err, gateway.ErrQuestion), errors.Is(err, gateway.ErrInvalidInvite), errors.Is(err, gateway.ErrWhichSite), errors.Is(err, gateway.ErrInvalidRole),
		errors.Is(err, authcore.ErrInvalidCursor), errors.Is(err, errNoSuchSession), errors.Is(err, errNoSuchToken), errors.Is(err, errNoHash):
		return http.StatusBadRequest
	case errors.Is(err, gateway.ErrAmbiguousUser), errors.Is(err, gateway.ErrNoSite), errors.Is(err, gateway.ErrGranted), errors.Is(err, gateway.ErrLastAdministrator):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

var _ caddy.AdminRouter = Admin{}
