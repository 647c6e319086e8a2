package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/caddy-authgate/authgate/authcore"
)

// GrantRole gives a user a role, and reports whether any rule or grant knows it. One that the user has already is no error.
func (r *Realm) GrantRole(ctx context.Context, by authcore.Trace, userID, role string) (known bool, err error) {
	if !validRole(role) {
		return false, fmt.Errorf("gateway: grant role: %w", ErrInvalidRole)
	}
	known = slices.Contains(r.Roles(), role)
	return known, r.administer(ctx, administering{by: by, userID: userID, mail: authcore.MailRoleGranted, label: role, change: func(s authcore.Stores, u authcore.User) (bool, []string, error) {
		if slices.Contains(u.Roles, role) {
			return false, nil, nil
		}
		u.Roles = append(u.Roles, role)
		if err := s.Users.UpdateUser(ctx, u); err != nil {
			return false, nil, err
		}
		return true, nil, r.note(ctx, s, authcore.EventRoleGranted, role, userID, by, "")
	}})
}

// RevokeRole takes a role away from a user; one that the user does not have is no error. It is ErrGranted where the
// configuration grants it, and ErrLastAdministrator where it is that of the last administrator and force is not set.
func (r *Realm) RevokeRole(ctx context.Context, by authcore.Trace, userID, role string, force bool) error {
	return r.administer(ctx, administering{
		by: by, userID: userID, weakens: role == AdminRole, force: force, mail: authcore.MailRoleRevoked, label: role,
		change: func(s authcore.Stores, u authcore.User) (bool, []string, error) {
			_, granted, err := r.rolesOf(ctx, s, u)
			if err != nil {
				return false, nil, err
			}
			if slices.Contains(granted, role) {
				return false, nil, fmt.Errorf("gateway: revoke role: %w", ErrGranted)
			}
			if !slices.Contains(u.Roles, role) {
				return false, nil, nil
			}
			u.Roles = slices.DeleteFunc(u.Roles, func(other string) bool { return other == role })
			if err := s.Users.UpdateUser(ctx, u); err != nil {
				return false, nil, err
			}
			return true, nil, r.note(ctx, s, authcore.EventRoleRevoked, role, userID, by, "")
		},
	})
}

// Disable keeps a user from signing in and ends all sessions. It is ErrOwnAccount for who does it, and ErrLastAdministrator
// for the last one, where force is not set.
func (r *Realm) Disable(ctx context.Context, by authcore.Trace, userID string, force bool) error {
	if by.Actor == userID {
		return fmt.Errorf("gateway: disable: %w", ErrOwnAccount)
	}
	if err := r.thin(ctx, userID, ""); err != nil {
		return err
	}
	return r.administer(ctx, administering{
		by: by, userID: userID, weakens: true, force: force, mail: authcore.MailDisabled,
		change: func(s authcore.Stores, u authcore.User) (bool, []string, error) {
			if u.Disabled {
				return false, nil, nil
			}
			u.Disabled = true
			if err := s.Users.UpdateUser(ctx, u); err != nil {
				return false, nil, err
			}
			ended, err := s.Sessions.EndSessionsOf(ctx, userID, "", 0, r.Now())
			if err != nil {
				return false, nil, err
			}
			// What was mailed before opens nothing any more.
			if err := r.dropConfirmations(ctx, s, userID); err != nil {
				return false, nil, err
			}
			return true, ended, r.note(ctx, s, authcore.EventUserDisabled, "", userID, by, "")
		},
	})
}

// Enable lets a disabled user sign in again.
func (r *Realm) Enable(ctx context.Context, by authcore.Trace, userID string) error {
	return r.administer(ctx, administering{by: by, userID: userID, mail: authcore.MailEnabled, change: func(s authcore.Stores, u authcore.User) (bool, []string, error) {
		if !u.Disabled {
			return false, nil, nil
		}
		u.Disabled = false
		if err := s.Users.UpdateUser(ctx, u); err != nil {
			return false, nil, err
		}
		return true, nil, r.note(ctx, s, authcore.EventUserEnabled, "", userID, by, "")
	}})
}

// Delete deletes a user with all that is theirs: sign-in methods, sessions, what waits to be confirmed, and what is personal in
// the audit log. Usernames stay reserved. For the errors see Disable.
func (r *Realm) Delete(ctx context.Context, by authcore.Trace, userID string, force bool) error {
	if by.Actor == userID {
		return fmt.Errorf("gateway: delete: %w", ErrOwnAccount)
	}
	if err := r.thin(ctx, userID, ""); err != nil {
		return err
	}
	return r.administer(ctx, administering{
		by: by, userID: userID, weakens: true, force: force, mail: authcore.MailDeleted,
		change: func(s authcore.Stores, u authcore.User) (bool, []string, error) {
			ended, err := s.Sessions.EndSessionsOf(ctx, userID, "", 0, r.Now())
			if err != nil {
				return false, nil, err
			}
			if err := r.dropConfirmations(ctx, s, userID); err != nil {
				return false, nil, err
			}
			if err := s.Users.DeleteUser(ctx, userID); err != nil {
				return false, nil, err
			}
			if err := s.Events.EraseEvents(ctx, userID); err != nil {
				return false, nil, err
			}
			return true, ended, r.note(ctx, s, authcore.EventUserDeleted, "", userID, by, "")
		},
	})
}

// dropConfirmations makes all keys that were handed out for a user's account good no more.
func (r *Realm) dropConfirmations(ctx context.Context, s authcore.Stores, userID string) error {
	for _, purpose := range []authcore.ConfirmationPurpose{authcore.ConfirmReset, authcore.ConfirmEmail, authcore.ConfirmRecovery} {
		if err := s.Confirmations.DeleteConfirmation(ctx, purpose, userID); err != nil {
			return err
		}
	}
	return nil
}

// EndSession ends a session of a user: authcore.ErrSessionNotFound where it is not one of theirs.
func (r *Realm) EndSession(ctx context.Context, by authcore.Trace, userID, id string) error {
	return r.endTheirs(ctx, by, userID, func(s authcore.Stores) ([]string, error) {
		one, err := s.Sessions.Session(ctx, id)
		if err == nil && one.UserID != userID {
			err = fmt.Errorf("gateway: end session: %w", authcore.ErrSessionNotFound)
		}
		if err != nil {
			return nil, err
		}
		return r.endWithin(ctx, s.Sessions, one)
	})
}

// EndSessions ends all sessions of a user, but for the one through which they do it themselves.
func (r *Realm) EndSessions(ctx context.Context, by authcore.Trace, userID string) error {
	but := ""
	if by.Actor == userID {
		but = by.SessionID
	}
	if err := r.thin(ctx, userID, but); err != nil {
		return err
	}
	return r.endTheirs(ctx, by, userID, func(s authcore.Stores) ([]string, error) {
		return s.Sessions.EndSessionsOf(ctx, userID, but, 0, r.Now())
	})
}

func (r *Realm) endTheirs(ctx context.Context, by authcore.Trace, userID string, end func(authcore.Stores) ([]string, error)) error {
	u, err := r.Stores.Users.User(ctx, userID)
	if err != nil {
		return err
	}
	code, tell := "owner", func(authcore.Stores) error { return nil }
	if by.Actor != userID {
		code = "administrator"
		if tell, err = r.told(ctx, u, authcore.Mail{Kind: authcore.MailSessionsEnded}, by); err != nil {
			return err
		}
	}
	var ended []string
	err = r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		if code == "administrator" {
			if err := r.stillAdministers(ctx, s, by); err != nil {
				return err
			}
		}
		if ended, err = end(s); err != nil || len(ended) == 0 {
			return err
		}
		if err := r.note(ctx, s, authcore.EventSessionEnded, code, userID, by, nameSessions(ended)); err != nil {
			return err
		}
		if err := tell(s); err != nil {
			return err
		}
		return r.notifyWithin(ctx, s, userID, ended)
	})
	if err != nil {
		return err
	}
	for _, id := range ended {
		r.forget(id)
	}
	r.notifyAfter(ctx, userID, ended)
	return nil
}

// nameSessions tells in the audit log which sessions ended.
func nameSessions(ended []string) string {
	if len(ended) == 1 {
		return "session " + ended[0]
	}
	return strconv.Itoa(len(ended)) + " sessions"
}

// RemoveCredential takes a way to sign in away from a user. The last with which one can sign in stays:
// authcore.ErrLastCredential; who lost it is to be given a recovery link first.
func (r *Realm) RemoveCredential(ctx context.Context, by authcore.Trace, userID, id string) error {
	u, err := r.Stores.Users.User(ctx, userID)
	if err != nil {
		return err
	}
	all, err := r.Stores.Credentials.CredentialsOf(ctx, userID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(c authcore.Credential) bool { return c.ID == id })
	if i < 0 {
		return fmt.Errorf("gateway: remove credential: %w", authcore.ErrCredentialNotFound)
	}
	c, on := all[i], r.methods()
	if !slices.ContainsFunc(all, func(other authcore.Credential) bool { return other.ID != id && slices.Contains(on, other.Kind) }) {
		return fmt.Errorf("gateway: remove credential: %w", authcore.ErrLastCredential)
	}
	if err := r.deleteCredential(ctx, u, c, by); err != nil {
		return err
	}
	r.changed(ctx, userID)
	return nil
}

// Lift ends the suspension of password sign-in of a user.
func (r *Realm) Lift(ctx context.Context, by authcore.Trace, userID string) error {
	if r.passwords == nil {
		return errors.New("gateway: lift suspension: password sign-in is off")
	}
	if _, err := r.Stores.Users.User(ctx, userID); err != nil {
		return err
	}
	// Attempts may be in another store. Whoever reads of it in the log and finds it not done does it again.
	err := r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		if err := r.stillAdministers(ctx, s, by); err != nil {
			return err
		}
		return r.note(ctx, s, authcore.EventSuspensionLift, "", userID, by, "")
	})
	if err != nil {
		return err
	}
	return r.passwords.Lift(ctx, userID)
}

// Profile is what a person changes of their own account; nil: it stays.
type Profile struct {
	Name     *string
	Username *string
}

// ruled reports whether a rule of any site lets a username in, or keeps it out: nobody gets the rights of a name by taking it.
func (r *Realm) ruled(username string) bool {
	for _, g := range r.State.gateways(r) {
		for _, rule := range g.site.Rules {
			if slices.ContainsFunc(rule.Users, func(user string) bool { return authcore.FoldUsername(user) == username }) {
				return true
			}
		}
	}
	return false
}

// ChangeProfile changes the account of a user as they asked for. It answers authcore.ErrInvalidUsername or
// authcore.ErrUsernameTaken, also for a username that a rule names.
func (r *Realm) ChangeProfile(ctx context.Context, by authcore.Trace, userID string, p Profile) error {
	changed := false
	err := r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		u, err := s.Users.User(ctx, userID)
		if err != nil {
			return err
		}
		var what []string
		if p.Name != nil && *p.Name != u.Name {
			u.Name, what = *p.Name, append(what, "name")
		}
		if p.Username != nil && *p.Username != u.Username {
			switch {
			case !authcore.ValidUsername(*p.Username):
				return fmt.Errorf("gateway: profile: %w", authcore.ErrInvalidUsername)
			case r.ruled(*p.Username):
				return fmt.Errorf("gateway: profile: a rule names it: %w", authcore.ErrUsernameTaken)
			}
			u.Username, what = *p.Username, append(what, "username")
		}
		if changed = len(what) > 0; !changed {
			return nil
		}
		if err := s.Users.UpdateUser(ctx, u); err != nil {
			return err
		}
		for _, one := range what {
			if err := r.note(ctx, s, authcore.EventProfileChanged, one, userID, by, ""); err != nil {
				return err
			}
		}
		return r.notifyWithin(ctx, s, userID, nil)
	})
	if err != nil || !changed {
		return err
	}
	r.outdate(userID)
	r.notifyAfter(ctx, userID, nil)
	return nil
}
