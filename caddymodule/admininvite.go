package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// invite answers `caddy authgate invite`.
func invite(ctx context.Context, realm *gateway.Realm, q command.InviteQuestion) (command.Invited, error) {
	base, err := realm.Base(q.Origin)
	if err != nil {
		return command.Invited{}, err
	}
	return makeInvite(ctx, realm, base, q)
}

func makeInvite(ctx context.Context, realm *gateway.Realm, base string, q command.InviteQuestion) (command.Invited, error) {
	n := gateway.NewInvite{Base: base, Roles: q.Roles, Uses: q.Uses, Note: q.Note}
	if q.Expires != "" {
		d, err := caddy.ParseDuration(q.Expires)
		if err != nil || d == 0 {
			return command.Invited{}, fmt.Errorf("%w: it expires after %q: write for example 24h or 7d", gateway.ErrInvalidInvite, q.Expires)
		}
		n.Expires = d
	}
	i, link, err := realm.CreateInvite(ctx, byOperator, n)
	return command.Invited{
		ID: i.ID, Link: link, Roles: append([]string{}, i.Roles...), Uses: i.Uses, Expires: i.Expires, Note: i.Note,
	}, err
}

// recoverAccount answers `caddy authgate recover`.
func recoverAccount(ctx context.Context, realm *gateway.Realm, q command.RecoverQuestion) (command.Recovery, error) {
	base, err := realm.Base(q.Origin)
	if err != nil {
		return command.Recovery{}, err
	}
	a, err := realm.Account(ctx, q.User)
	if err != nil {
		return command.Recovery{}, err
	}
	link, expires, err := realm.Recover(ctx, byOperator, a.ID, base)
	return command.Recovery{User: viewAccount(a), Link: link, Expires: expires}, err
}

// Invite implements command.Backups.
func (backups) Invite(ctx context.Context, from command.Configuration, q command.InviteQuestion) (did command.Invited, err error) {
	l, err := load(from)
	if err != nil {
		return did, err
	}
	defer l.cancel()
	base, err := baseOf(l.sites, q.Origin)
	if err != nil {
		return did, err
	}
	opening, cancel := context.WithTimeout(ctx, time.Minute) // an old schema is brought up to date
	defer cancel()
	open, err := l.store.OpenStore(opening)
	if err != nil {
		return did, err
	}
	defer func() { err = errors.Join(err, closeIfAny(open.Close)) }()
	realm, err := gateway.NewRealm(gateway.RealmConfig{Stores: open.Stores})
	if err != nil {
		return did, err
	}
	defer realm.Close()
	return makeInvite(ctx, realm, base, q)
}

// baseOf is gateway.Realm.Base of sites that do not run.
func baseOf(sites []Handler, origin string) (string, error) {
	var bases, origins []string
	origin = gateway.CanonicalOrigin(origin)
	for _, s := range sites {
		if s.Origin == "" || s.SignInAt != "" {
			continue
		}
		at := gateway.CanonicalOrigin(s.Origin)
		origins = append(origins, at)
		if base := at + s.mount(); (origin == "" || at == origin) && !slices.Contains(bases, base) {
			bases = append(bases, base)
		}
	}
	if len(bases) == 1 {
		return bases[0], nil
	}
	slices.Sort(origins)
	return "", fmt.Errorf("%w: the sites are %v", gateway.ErrWhichSite, slices.Compact(origins))
}

func (h *Handler) mount() string {
	if h.Path == "" {
		return "/auth"
	}
	return h.Path
}

// handlers answers the gates that stand anywhere in a configuration.
func handlers(config any) (all []Handler) {
	switch v := config.(type) {
	case map[string]any:
		if v["handler"] == "authgate" {
			var h Handler
			if text, err := json.Marshal(v); err == nil && json.Unmarshal(text, &h) == nil {
				all = append(all, h)
			}
		}
		for _, inner := range v {
			all = append(all, handlers(inner)...)
		}
	case []any:
		for _, inner := range v {
			all = append(all, handlers(inner)...)
		}
	}
	return all
}
