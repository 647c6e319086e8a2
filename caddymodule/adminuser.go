package caddymodule

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// showUser answers `caddy authgate user show`.
func showUser(ctx context.Context, realm *gateway.Realm, q command.UserQuestion) (command.User, error) {
	a, err := realm.Account(ctx, q.User)
	if err != nil {
		return command.User{}, err
	}
	return viewAccount(a), nil
}

// unlockUser answers `caddy authgate user unlock`.
func unlockUser(ctx context.Context, realm *gateway.Realm, q command.UserQuestion) (command.UserUnlocked, error) {
	a, err := realm.Account(ctx, q.User)
	if err != nil {
		return command.UserUnlocked{}, err
	}
	if err := realm.Lift(ctx, byOperator, a.ID); err != nil {
		return command.UserUnlocked{}, err
	}
	until := a.SuspendedUntil
	a.SuspendedUntil = time.Time{}
	return command.UserUnlocked{User: viewAccount(a), SuspendedUntil: until}, nil
}

func viewAccount(a gateway.Account) command.User {
	u := command.User{
		ID: a.ID, Username: a.Username, Name: a.Name, Email: a.Email, Roles: append([]string{}, a.Roles...),
		Methods: []command.Method{}, Disabled: a.Disabled, SuspendedUntil: a.SuspendedUntil, Created: a.Created,
	}
	for _, one := range a.ChainRoles {
		u.ChainRoles = append(u.ChainRoles, command.ChainRole(one))
	}
	for _, c := range a.Credentials {
		m := command.Method{Kind: string(c.Kind), Name: c.Name, Created: c.Created, LastUsed: c.LastUsed}
		if c.Kind == authcore.Wallet || c.Kind == authcore.ProgramKey {
			m.Name = c.Key
		}
		u.Methods = append(u.Methods, m)
	}
	return u
}
