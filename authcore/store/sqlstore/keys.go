package sqlstore

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore"
)

// Keys implements authcore.Keys. Oldest first is the order in which they were added.
func (s *Store) Keys(ctx context.Context) (all []authcore.Key, err error) {
	err = s.read(ctx, "keys", func(ctx context.Context, r run) error {
		all = nil
		return r.each(ctx, `SELECT id, pkcs8, created FROM signing_keys ORDER BY position`+r.dialect.keep, nil, func(scan func(...any) error) error {
			var k authcore.Key
			var created int64
			if err := scan(&k.ID, &k.PKCS8, &created); err != nil {
				return err
			}
			k.Created = instant(created)
			all = append(all, k)
			return nil
		})
	})
	return all, err
}

// AddKey implements authcore.Keys. An id that is stored already is ErrConflict.
func (s *Store) AddKey(ctx context.Context, k authcore.Key, after string) error {
	return s.transaction(ctx, "add key", func(ctx context.Context, r run) error {
		var position int64
		newest := ""
		if _, err := r.row(ctx, `SELECT position, id FROM signing_keys ORDER BY position DESC LIMIT 1`, nil, &position, &newest); err != nil {
			return err
		} else if newest != after {
			return verdict{authcore.ErrConflict}
		}
		// Where transactions do not exclude each other, two reach for the same position, and one gets it.
		n, err := r.exec(ctx, `INSERT INTO signing_keys (position, id, pkcs8, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			position+1, k.ID, k.PKCS8, micros(k.Created))
		if err == nil && n == 0 {
			err = verdict{authcore.ErrConflict}
		}
		return err
	})
}

// DeleteKey implements authcore.Keys.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	return s.statement(ctx, "delete key", func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, `DELETE FROM signing_keys WHERE id = ?`, id)
		return err
	})
}
