package caddymodule

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func (l lazyAccounts) CreatePersonalAccessToken(ctx context.Context, t authcore.PersonalAccessToken) error {
	return tell(ctx, l.opening, l.metrics, "create_personal_access_token", func(open OpenStore) error {
		return open.PersonalAccessTokens.CreatePersonalAccessToken(ctx, t)
	})
}

func (l lazyAccounts) PersonalAccessToken(ctx context.Context, id string) (authcore.PersonalAccessToken, error) {
	return ask(ctx, l.opening, l.metrics, "personal_access_token", func(open OpenStore) (authcore.PersonalAccessToken, error) {
		return open.PersonalAccessTokens.PersonalAccessToken(ctx, id)
	})
}

func (l lazyAccounts) PersonalAccessTokensOf(ctx context.Context, userID string) ([]authcore.PersonalAccessToken, error) {
	return ask(ctx, l.opening, l.metrics, "personal_access_tokens_of", func(open OpenStore) ([]authcore.PersonalAccessToken, error) {
		return open.PersonalAccessTokens.PersonalAccessTokensOf(ctx, userID)
	})
}

func (l lazyAccounts) NotePersonalAccessTokens(ctx context.Context, used map[string]time.Time) error {
	return tell(ctx, l.opening, l.metrics, "note_personal_access_tokens", func(open OpenStore) error {
		return open.PersonalAccessTokens.NotePersonalAccessTokens(ctx, used)
	})
}

func (l lazyAccounts) DeletePersonalAccessToken(ctx context.Context, userID, id string) error {
	return tell(ctx, l.opening, l.metrics, "delete_personal_access_token", func(open OpenStore) error {
		return open.PersonalAccessTokens.DeletePersonalAccessToken(ctx, userID, id)
	})
}

func (l lazyAccounts) DeleteExpiredPersonalAccessTokens(ctx context.Context, before time.Time) (int, error) {
	return ask(ctx, l.opening, l.metrics, "delete_expired_personal_access_tokens", func(open OpenStore) (int, error) {
		return open.PersonalAccessTokens.DeleteExpiredPersonalAccessTokens(ctx, before)
	})
}

var _ authcore.PersonalAccessTokens = lazyAccounts{}
