package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/password"
)

// linkTo answers how a link to a page is written that carries a key: with the configured origin, never the request's
// Host, and the key in the fragment, which no server, log or referrer sees.
func (g *Gateway) linkTo(page string) func(key string) string {
	return func(key string) string { return g.origin.text + g.site.Path + "/" + page + "#" + key }
}

// registerPassword is POST password/register. Whether there is an account is told by mail only.
func (g *Gateway) registerPassword(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	email, secret, name := in.required("email"), in.required("password"), in.label("name")
	receipt, _ := in.optional("receipt")
	invite, _ := in.optional("invite")
	if in.err != nil {
		return in.err
	}
	err = g.passwords.Register(r.Context(), password.Registering{
		Email: email, Password: secret, Name: name, Receipt: receipt, Invite: invite, By: g.trace(r, v), Link: g.linkTo("activate"),
		Count: g.countMail(w, r),
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// activatePassword is POST password/activate: it opens the account of whoever registered and holds the mailbox.
func (g *Gateway) activatePassword(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if v.err != nil {
		return v.err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	key, end := in.required("key"), in.ending()
	secret, _ := in.optional("password")
	receipt, given := in.optional("receipt")
	if in.err != nil {
		return in.err
	}
	a := password.Activating{Key: key, Password: secret, By: g.trace(r, v)}
	if given {
		a.Receipt = &receipt
	}
	u, err := g.passwords.Activate(ctx, a)
	switch {
	case errors.Is(err, authcore.ErrUnavailable):
		return err
	case errors.Is(err, authcore.ErrConfirmationNotFound):
		return errNoRegistration.because(err)
	case errors.Is(err, authcore.ErrConfirmationExpired):
		return errLateRegistration.because(err)
	case err != nil:
		return err
	}
	return g.passwordSignIn(w, r, v, u.ID, end)
}

// signInPassword is POST password/sign-in.
func (g *Gateway) signInPassword(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if v.err != nil {
		return v.err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	email, secret, end := in.required("email"), in.required("password"), in.ending()
	if in.err != nil {
		return in.err
	}
	proof, err := g.passwords.SignIn(ctx, password.Try{Email: email, Password: secret, Device: v.device, By: g.trace(r, v)})
	v.tried, v.typed = proof.UserID, email
	if err != nil {
		return err
	}
	if _, err := g.realm.enabledUser(ctx, proof.UserID); err != nil {
		return err
	}
	end.device = proof.Device
	// The threat: the owner sets a new password while somebody who knows the old one signs in, after it was compared and
	// before there is a session that could be ended.
	end.holds = func(ctx context.Context) error {
		holds, err := g.passwords.Holds(ctx, proof.UserID, proof.Device)
		if err == nil && !holds {
			err = password.ErrInvalidCredentials
		}
		return err
	}
	return g.signIn(w, r, v, proof.UserID, authcore.MethodUse{Method: authcore.Password}, end)
}

// stepUpPassword is POST step-up/password/sign-in.
func (g *Gateway) stepUpPassword(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	secret := in.required("password")
	if in.err != nil {
		return in.err
	}
	u, err := g.realm.presentUser(ctx, v.identity)
	if err != nil {
		return err
	}
	if err := g.passwords.StepUp(ctx, u.ID, password.Try{Password: secret, Device: v.device, By: g.trace(r, v)}); err != nil {
		return err
	}
	return g.stepUp(w, r, v, u.ID, authcore.MethodUse{Method: authcore.Password})
}

// forgotPassword is POST password/forgot. Whether there is an account is told by mail only.
func (g *Gateway) forgotPassword(w http.ResponseWriter, r *http.Request, v *visitor) error {
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	email := in.required("email")
	if in.err != nil {
		return in.err
	}
	err = g.passwords.Forgot(r.Context(), password.Forgetting{
		Email: email, By: g.trace(r, v), Link: g.linkTo("reset"), Count: g.countMail(w, r),
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// resetPassword is POST password/reset: it sets a new password, ends all sessions and signs in.
func (g *Gateway) resetPassword(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	if v.err != nil {
		return v.err
	}
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	key, secret, end := in.required("key"), in.required("password"), in.ending()
	if in.err != nil {
		return in.err
	}
	userID, ended, err := g.passwords.Reset(ctx, password.Resetting{Key: key, Password: secret, By: g.trace(r, v)})
	if err != nil {
		return err
	}
	g.realm.haveEnded(ctx, userID, ended)
	if _, err := g.realm.enabledUser(ctx, userID); err != nil {
		return err
	}
	return g.passwordSignIn(w, r, v, userID, end)
}

// changePassword is POST password/change: it sets the password of whoever is signed in, or a first one, and ends all
// other sessions.
func (g *Gateway) changePassword(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	secret := in.required("password")
	if in.err != nil {
		return in.err
	}
	u, err := g.realm.freshUser(ctx, v.identity)
	if err != nil {
		return err
	}
	ended, err := g.passwords.Change(ctx, password.Changing{
		UserID: u.ID, SessionID: v.identity.SessionID, Password: secret, By: g.trace(r, v),
	})
	if err != nil {
		return err
	}
	g.realm.haveEnded(ctx, u.ID, ended)
	if v.via == byCookie {
		if device := g.newDevice(ctx, u.ID); device != "" {
			w.Header().Add("Set-Cookie", g.cookie.setDevice(device))
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// passwordSignIn signs in whoever has just set a password with a mailed key.
func (g *Gateway) passwordSignIn(w http.ResponseWriter, r *http.Request, v *visitor, userID string, end ending) error {
	if end.cookie {
		end.device = g.newDevice(r.Context(), userID)
	}
	return g.signIn(w, r, v, userID, authcore.MethodUse{Method: authcore.Password}, end)
}

// newDevice answers a token by which a browser is known again, or "": the browser is then like any other.
func (g *Gateway) newDevice(ctx context.Context, userID string) string {
	device, err := g.passwords.Device(ctx, userID)
	if err != nil {
		g.realm.Logger.LogAttrs(ctx, slog.LevelDebug, "browser will not be known again", slog.String("cause", err.Error()))
		return ""
	}
	return device
}
