package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey"
)

// credentialView is a credential as routes tell it to its owner.
type credentialView struct {
	ID       string          `json:"id"`
	Kind     authcore.Method `json:"kind"`
	Name     string          `json:"name"`
	Created  string          `json:"created"`
	LastUsed string          `json:"last_used,omitempty"` // absent: never
	Wallet   string          `json:"wallet,omitempty"`
	Key      string          `json:"key,omitempty"` // of a program
	*passkeyView
}

type passkeyView struct {
	CredentialID string   `json:"credential_id"`
	RPID         string   `json:"rp_id"`
	AAGUID       string   `json:"aaguid"`
	Provider     string   `json:"provider,omitempty"` // what the AAGUID is known as; nobody has verified it
	Transports   []string `json:"transports"`
	Synced       bool     `json:"synced"`    // can be on several devices
	BackedUp     bool     `json:"backed_up"` // is, as far as its last use told
}

func (r *Realm) viewCredential(ctx context.Context, c authcore.Credential) credentialView {
	v := credentialView{ID: c.ID, Kind: c.Kind, Name: c.Name, Created: timestamp(c.Created)}
	if !c.LastUsed.IsZero() {
		v.LastUsed = timestamp(c.LastUsed)
	}
	switch c.Kind {
	case authcore.Wallet:
		v.Wallet = c.Key
	case authcore.ProgramKey:
		v.Key = c.Key
	case authcore.Passkey:
		record, err := passkey.ReadRecord(c)
		if err != nil {
			// It is listed all the same, so that its owner can delete it.
			r.Logger.LogAttrs(ctx, slog.LevelWarn, "stored passkey cannot be read", slog.String("credential", c.ID), slog.Any("error", err))
		}
		v.passkeyView = &passkeyView{
			c.Key, record.RPID, record.AAGUID.String(), passkey.Provider(record.AAGUID), append([]string{}, record.Transports...),
			record.Synced(), record.BackedUp(),
		}
	}
	return v
}

func (g *Gateway) writeCredential(w http.ResponseWriter, r *http.Request, c authcore.Credential) error {
	return writeJSON(w, r, struct {
		Credential credentialView `json:"credential"`
	}{g.realm.viewCredential(r.Context(), c)})
}

// signals is what a page tells those who keep passkeys (WebAuthn Level 3 section 5.1.10): which of them are still good,
// and under what names. The list of ids must be complete: what is not in it is forgotten by the user's devices.
type signals struct {
	RPID        string   `json:"rpId"`
	UserID      string   `json:"userId"`
	IDs         []string `json:"allAcceptedCredentialIds"`
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName"`
}

// listCredentials is GET credentials.
func (g *Gateway) listCredentials(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx, id := r.Context(), v.identity
	all, err := g.realm.Stores.Credentials.CredentialsOf(ctx, id.Subject)
	if err != nil {
		return err
	}
	answer := struct {
		Credentials []credentialView `json:"credentials"`
		Signals     *signals         `json:"signals,omitempty"`
	}{Credentials: []credentialView{}}
	if slices.Contains(g.site.Methods, authcore.Passkey) {
		answer.Signals = &signals{
			RPID: g.realm.passkeys.RelyingPartyID(g.origin.text), UserID: base64.RawURLEncoding.EncodeToString(passkey.UserHandle(id.Subject)),
			IDs: []string{}, Name: id.Username, DisplayName: id.Name,
		}
		if id.Name == "" {
			answer.Signals.DisplayName = id.Username
		}
	}
	for _, c := range all {
		view := g.realm.viewCredential(ctx, c)
		answer.Credentials = append(answer.Credentials, view)
		if answer.Signals != nil && c.Kind == authcore.Passkey && (view.RPID == answer.Signals.RPID || view.RPID == "") {
			answer.Signals.IDs = append(answer.Signals.IDs, c.Key)
		}
	}
	return writeJSON(w, r, answer)
}

// maxRenames bounds how often a new name is tried while sign-ins write to the same credential.
const maxRenames = 8

// renameCredential is PATCH credentials/{id}.
func (g *Gateway) renameCredential(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	in, err := readObject(w, r)
	if err != nil {
		return err
	}
	in.required("name")
	name := in.label("name")
	if in.err != nil {
		return in.err
	}
	if _, err := g.realm.freshUser(ctx, v.identity); err != nil {
		return err
	}
	for range maxRenames {
		c, _, err := g.ownCredential(r, v)
		if err != nil {
			return err
		}
		c.Name = name
		err = g.realm.Stores.Credentials.UpdateCredential(ctx, c)
		if err == nil {
			return g.writeCredential(w, r, c)
		}
		if !errors.Is(err, authcore.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("gateway: rename: %w", authcore.ErrUnavailable)
}

// ownCredential answers the credential that a path names, of whoever is signed in, and the others of the account.
// Somebody else's is as little there as none.
func (g *Gateway) ownCredential(r *http.Request, v *visitor) (c authcore.Credential, others []authcore.Credential, err error) {
	all, err := g.realm.Stores.Credentials.CredentialsOf(r.Context(), v.subject())
	if err != nil {
		return c, nil, err
	}
	i := slices.IndexFunc(all, func(c authcore.Credential) bool { return c.ID == r.PathValue("name") })
	if i < 0 {
		return c, nil, authcore.ErrCredentialNotFound
	}
	c = all[i]
	return c, slices.Delete(all, i, i+1), nil
}

// deleteCredential is DELETE credentials/{id}.
func (g *Gateway) deleteCredential(w http.ResponseWriter, r *http.Request, v *visitor) error {
	ctx := r.Context()
	u, err := g.realm.freshUser(ctx, v.identity)
	if err != nil {
		return err
	}
	c, others, err := g.ownCredential(r, v)
	if err != nil {
		return err
	}
	// The store sees to it that one is left, also of many deletions at once. Here it must be one with which its owner can
	// sign in on this site.
	if !slices.ContainsFunc(others, g.canSignIn) {
		return authcore.ErrLastCredential
	}
	if err := g.realm.deleteCredential(ctx, u, c, g.trace(r, v)); err != nil {
		return err
	}
	if c.Kind == authcore.Wallet || c.Kind == authcore.ProgramKey {
		// Roles were granted to it, and access tokens name it.
		g.realm.changed(ctx, v.subject())
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteCredential deletes a credential of a user and tells them.
func (r *Realm) deleteCredential(ctx context.Context, u authcore.User, c authcore.Credential, by authcore.Trace) error {
	return r.changeMethods(ctx, u, authcore.MailMethodRemoved, c, by, func(s authcore.Stores) error {
		if by.Actor != u.ID {
			if err := r.stillAdministers(ctx, s, by); err != nil {
				return err
			}
		}
		if err := s.Credentials.DeleteCredential(ctx, u.ID, c.ID); err != nil {
			return err
		}
		if c.Kind != authcore.Password {
			return nil
		}
		// A key that was mailed before must not bring a password back.
		return s.Confirmations.DeleteConfirmation(ctx, authcore.ConfirmReset, u.ID)
	})
}

// canSignIn reports whether a credential is good for a sign-in on this site.
func (g *Gateway) canSignIn(c authcore.Credential) bool {
	if !slices.Contains(g.site.Methods, c.Kind) {
		return false
	}
	if c.Kind == authcore.Wallet || c.Kind == authcore.ProgramKey {
		return g.realm.takesKey(c)
	}
	if c.Kind != authcore.Passkey {
		return true
	}
	record, err := passkey.ReadRecord(c)
	return err == nil && record.RPID == g.realm.passkeys.RelyingPartyID(g.origin.text)
}
