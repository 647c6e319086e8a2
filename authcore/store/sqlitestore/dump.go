package sqlitestore

import (
	"context"
	"io"
	"time"

	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
)

// Dump writes everything durable: see [sqlstore.Store.Dump].
func (s *Store) Dump(ctx context.Context, to io.Writer, now time.Time) (sqlstore.Contents, error) {
	return s.store.Dump(ctx, to, now)
}

// Restore fills an empty store: see [sqlstore.Store.Restore].
func (s *Store) Restore(ctx context.Context, from io.Reader) (sqlstore.Contents, error) {
	return s.store.Restore(ctx, from)
}
