package caddymodule

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// listTokens answers `caddy authgate token list`.
func listTokens(ctx context.Context, realm *gateway.Realm, q command.UserQuestion) (command.TokenList, error) {
	a, err := realm.Account(ctx, q.User)
	if err != nil {
		return command.TokenList{}, err
	}
	all, err := realm.Tokens(ctx, a.ID)
	if err != nil {
		return command.TokenList{}, err
	}
	list := command.TokenList{User: viewAccount(a), Tokens: make([]command.Token, len(all))}
	for i, t := range all {
		list.Tokens[i] = command.Token{
			ID: t.ID, Name: t.Name, Origin: t.Origin, Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed, Paths: t.Paths,
		}
		if !t.AllRoles {
			list.Tokens[i].Roles = append([]string{}, t.Roles...)
		}
	}
	return list, nil
}

// revokeTokens answers `caddy authgate token revoke`.
func revokeTokens(ctx context.Context, realm *gateway.Realm, q command.TokenEnd) (command.TokensEnded, error) {
	list, err := listTokens(ctx, realm, q.UserQuestion)
	if err != nil {
		return command.TokensEnded{}, err
	}
	did := command.TokensEnded{User: list.User}
	for _, t := range list.Tokens {
		if q.Token != "" && t.ID != q.Token {
			continue
		}
		if err := realm.DeleteToken(ctx, byOperator, list.User.ID, t.ID); err != nil {
			return did, err
		}
		did.Ended++
	}
	if q.Token != "" && did.Ended == 0 {
		return did, errNoSuchToken
	}
	return did, nil
}
