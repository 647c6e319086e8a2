package caddymodule

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore"
)

func (l lazyAccounts) FindUsers(ctx context.Context, q authcore.UserQuery) (authcore.UserPage, error) {
	return ask(ctx, l.opening, l.metrics, "find_users", func(open OpenStore) (authcore.UserPage, error) { return open.Directory.FindUsers(ctx, q) })
}

func (l lazyAccounts) CountUsers(ctx context.Context) (int, error) {
	return ask(ctx, l.opening, l.metrics, "count_users", func(open OpenStore) (int, error) { return open.Directory.CountUsers(ctx) })
}

var _ authcore.Directory = lazyAccounts{}
