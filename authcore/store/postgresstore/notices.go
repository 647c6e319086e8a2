package postgresstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
)

const (
	channel = "authgate_notices"
	// quiet is how long nothing needs to be announced before the connection is asked whether it still is one.
	quiet = time.Second
	// pingTimeout bounds that question, and the beginning.
	pingTimeout = 2 * time.Second
)

// waiter waits for announcements on a connection of its own.
type waiter struct {
	conn *pgx.Conn
	over func() bool
}

// await begins to wait for announcements, until life ends.
func await(ctx, life context.Context, cfg *pgx.ConnConfig) (sqlstore.Waiter, error) {
	if life.Err() != nil {
		return nil, errors.New("postgresstore: closed")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+pingTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return nil, fmt.Errorf("postgresstore: listen: %w", err)
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return nil, errors.Join(fmt.Errorf("postgresstore: listen: %w", err), conn.Close(ctx))
	}
	// Whatever waits then sees that it is cut off.
	over := context.AfterFunc(life, func() { _ = conn.PgConn().Conn().Close() })
	return waiter{conn, over}, nil
}

// Wait implements sqlstore.Waiter.
func (w waiter) Wait(ctx context.Context) error {
	awhile, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	_, err := w.conn.WaitForNotification(awhile)
	if err == nil || ctx.Err() != nil || awhile.Err() == nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return w.conn.Ping(soon)
}

// Close implements sqlstore.Waiter.
func (w waiter) Close() {
	w.over()
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	// Closed it is, whatever it says.
	_ = w.conn.Close(ctx)
}
