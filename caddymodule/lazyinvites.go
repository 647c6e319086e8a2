package caddymodule

import (
	"context"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func (l lazyAccounts) CreateInvite(ctx context.Context, i authcore.Invite) error {
	return tell(ctx, l.opening, l.metrics, "create_invite", func(open OpenStore) error { return open.Invites.CreateInvite(ctx, i) })
}

func (l lazyAccounts) Invite(ctx context.Context, keyHash [32]byte) (authcore.Invite, error) {
	return ask(ctx, l.opening, l.metrics, "invite", func(open OpenStore) (authcore.Invite, error) { return open.Invites.Invite(ctx, keyHash) })
}

func (l lazyAccounts) UseInvite(ctx context.Context, keyHash [32]byte, now time.Time) (authcore.Invite, error) {
	return ask(ctx, l.opening, l.metrics, "use_invite", func(open OpenStore) (authcore.Invite, error) {
		return open.Invites.UseInvite(ctx, keyHash, now)
	})
}

func (l lazyAccounts) InvitesOpen(ctx context.Context) ([]authcore.Invite, error) {
	return ask(ctx, l.opening, l.metrics, "invites_open", func(open OpenStore) ([]authcore.Invite, error) { return open.Invites.InvitesOpen(ctx) })
}

func (l lazyAccounts) RevokeInvite(ctx context.Context, id string) error {
	return tell(ctx, l.opening, l.metrics, "revoke_invite", func(open OpenStore) error { return open.Invites.RevokeInvite(ctx, id) })
}

func (l lazyAccounts) DeleteExpiredInvites(ctx context.Context, before time.Time) (int, error) {
	return ask(ctx, l.opening, l.metrics, "delete_expired_invites", func(open OpenStore) (int, error) {
		return open.Invites.DeleteExpiredInvites(ctx, before)
	})
}

var _ authcore.Invites = lazyAccounts{}
