package caddymodule

import (
	"context"
	"fmt"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// byOperator is who works on the command line.
var byOperator = authcore.Trace{Actor: authcore.Operator}

// maxListed is how many users or events one answer has at most.
const maxListed = 1000

// listUsers answers `caddy authgate user list`.
func listUsers(ctx context.Context, realm *gateway.Realm, q command.UserListQuestion) (command.UserList, error) {
	order := authcore.UserOrder(q.Order)
	if !slices.Contains([]authcore.UserOrder{"", authcore.ByUsername, authcore.ByCreated}, order) {
		return command.UserList{}, fmt.Errorf("%w: order %q: write %s or %s", gateway.ErrQuestion, q.Order, authcore.ByUsername, authcore.ByCreated)
	}
	list, err := realm.Users(ctx, authcore.UserQuery{
		Search: q.Search, Role: q.Role, Disabled: q.Disabled, Order: order, Descending: q.Reverse,
		After: q.After, Limit: min(max(q.Limit, 0), maxListed),
	})
	if err != nil {
		return command.UserList{}, err
	}
	answer := command.UserList{Users: make([]command.ListedUser, len(list.Users)), Next: list.Next, Total: list.Total}
	for i, u := range list.Users {
		answer.Users[i] = command.ListedUser{
			ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, Roles: append([]string{}, u.Roles...),
			Methods: texts(u.Methods), Disabled: u.Disabled, Created: u.Created, LastSeen: u.LastSeen,
		}
	}
	return answer, nil
}

func texts(methods []authcore.Method) []string {
	all := make([]string, len(methods))
	for i, m := range methods {
		all[i] = string(m)
	}
	return all
}

// changeUser answers a command that changes the account it names, and answers it as it is then.
func changeUser[Q any](name func(Q) string, change func(context.Context, *gateway.Realm, string, Q) error) func(context.Context, *gateway.Realm, Q) (command.User, error) {
	return func(ctx context.Context, realm *gateway.Realm, q Q) (command.User, error) {
		a, err := realm.Account(ctx, name(q))
		if err != nil {
			return command.User{}, err
		}
		if err := change(ctx, realm, a.ID, q); err != nil {
			return command.User{}, err
		}
		now, err := realm.Account(ctx, a.ID)
		return viewAccount(now), err
	}
}

func changed(q command.UserChange) string { return q.User }

var (
	disableUser = changeUser(changed, func(ctx context.Context, realm *gateway.Realm, id string, q command.UserChange) error {
		return realm.Disable(ctx, byOperator, id, q.Force)
	})
	enableUser = changeUser(changed, func(ctx context.Context, realm *gateway.Realm, id string, _ command.UserChange) error {
		return realm.Enable(ctx, byOperator, id)
	})
)

// deleteUser answers `caddy authgate user delete`, with the user as it was.
func deleteUser(ctx context.Context, realm *gateway.Realm, q command.UserChange) (command.User, error) {
	a, err := realm.Account(ctx, q.User)
	if err != nil {
		return command.User{}, err
	}
	return viewAccount(a), realm.Delete(ctx, byOperator, a.ID, q.Force)
}

// grantRole answers `caddy authgate role grant`.
func grantRole(ctx context.Context, realm *gateway.Realm, q command.RoleChange) (did command.RoleChanged, err error) {
	did.User, err = changeUser(func(q command.RoleChange) string { return q.User }, func(ctx context.Context, realm *gateway.Realm, id string, q command.RoleChange) error {
		known, err := realm.GrantRole(ctx, byOperator, id, q.Role)
		did.Unknown = !known
		return err
	})(ctx, realm, q)
	return did, err
}

// revokeRole answers `caddy authgate role revoke`.
func revokeRole(ctx context.Context, realm *gateway.Realm, q command.RoleChange) (did command.RoleChanged, err error) {
	did.User, err = changeUser(func(q command.RoleChange) string { return q.User }, func(ctx context.Context, realm *gateway.Realm, id string, q command.RoleChange) error {
		return realm.RevokeRole(ctx, byOperator, id, q.Role, q.Force)
	})(ctx, realm, q)
	return did, err
}

// listSessions answers `caddy authgate session list`.
func listSessions(ctx context.Context, realm *gateway.Realm, q command.UserQuestion) (command.SessionList, error) {
	a, err := realm.Account(ctx, q.User)
	if err != nil {
		return command.SessionList{}, err
	}
	all, err := realm.Stores.Sessions.SessionsOf(ctx, a.ID, realm.Now())
	if err != nil {
		return command.SessionList{}, err
	}
	list := command.SessionList{User: viewAccount(a), Sessions: make([]command.Session, len(all))}
	for i, s := range all {
		one := command.Session{
			ID: s.ID, Origin: s.Origin, Created: s.Created, LastSeen: s.LastSeen, Expires: s.IdleUntil, ClientIP: s.ClientIP, UserAgent: s.UserAgent,
		}
		if s.Until.Before(s.IdleUntil) {
			one.Expires = s.Until
		}
		for _, use := range s.Methods {
			one.Methods = append(one.Methods, string(use.Method))
		}
		list.Sessions[i] = one
	}
	return list, nil
}

// endSessions answers `caddy authgate session end`.
func endSessions(ctx context.Context, realm *gateway.Realm, q command.SessionEnd) (command.SessionsEnded, error) {
	list, err := listSessions(ctx, realm, q.UserQuestion)
	if err != nil {
		return command.SessionsEnded{}, err
	}
	if q.Session == "" {
		return command.SessionsEnded{User: list.User, Ended: len(list.Sessions)}, realm.EndSessions(ctx, byOperator, list.User.ID)
	}
	for _, s := range list.Sessions {
		if s.ID == q.Session {
			return command.SessionsEnded{User: list.User, Ended: 1}, realm.EndSession(ctx, byOperator, list.User.ID, s.ID)
		}
	}
	return command.SessionsEnded{}, errNoSuchSession
}
