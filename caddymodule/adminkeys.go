package caddymodule

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// rotateKeys answers `caddy authgate keys rotate`.
func rotateKeys(ctx context.Context, realm *gateway.Realm, q command.KeysQuestion) (command.KeysRotated, error) {
	did, err := realm.RotateKeys(ctx, byOperator, q.AtOnce)
	return command.KeysRotated{
		Key: did.KeyID, Signs: did.Signs, Waiting: did.Waiting, Deleted: did.Deleted, LostMails: did.LostMails, Untold: !did.Told && !did.Waiting,
	}, err
}
