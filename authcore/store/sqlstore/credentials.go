package sqlstore

import (
	"context"

	"github.com/caddy-authgate/authgate/authcore"
)

const selectCredential = `SELECT id, user_id, kind, key, name, data, created, last_used, version FROM credentials `

// CredentialByKey implements authcore.Credentials.
func (s *Store) CredentialByKey(ctx context.Context, kind authcore.Method, key string) (c authcore.Credential, err error) {
	err = s.read(ctx, "credential by key", func(ctx context.Context, r run) error {
		found, err := r.credentials(ctx, selectCredential+`WHERE kind = ? AND key = ?`+r.dialect.keep, string(kind), key)
		if err != nil {
			return err
		} else if len(found) == 0 {
			return verdict{authcore.ErrCredentialNotFound}
		}
		c = found[0]
		return nil
	})
	return c, err
}

// CredentialsOf implements authcore.Credentials.
func (s *Store) CredentialsOf(ctx context.Context, userID string) (own []authcore.Credential, err error) {
	err = s.read(ctx, "credentials of user", func(ctx context.Context, r run) error {
		own, err = r.credentials(ctx, selectCredential+`WHERE user_id = ? ORDER BY created, id`+r.dialect.keep, userID)
		return err
	})
	return own, err
}

// AddCredential implements authcore.Credentials. An id that is stored already is ErrConflict.
func (s *Store) AddCredential(ctx context.Context, c authcore.Credential) error {
	return s.transaction(ctx, "add credential", func(ctx context.Context, r run) error {
		if there, err := r.lockUser(ctx, c.UserID); err != nil {
			return err
		} else if !there {
			return verdict{authcore.ErrUserNotFound}
		}
		return r.insertCredential(ctx, c)
	})
}

// UpdateCredential implements authcore.Credentials.
func (s *Store) UpdateCredential(ctx context.Context, c authcore.Credential) error {
	return s.statement(ctx, "update credential", func(ctx context.Context, r run) error {
		n, err := r.exec(ctx, `UPDATE credentials SET name = ?, data = ?, last_used = ?, version = version + 1 WHERE id = ? AND version = ?`,
			c.Name, c.Data, micros(c.LastUsed), c.ID, c.Version)
		if err == nil && n == 0 {
			err = r.lost(ctx, authcore.ErrCredentialNotFound, `SELECT 1 FROM credentials WHERE id = ?`, c.ID)
		}
		return err
	})
}

// DeleteCredential implements authcore.Credentials.
func (s *Store) DeleteCredential(ctx context.Context, userID, id string) error {
	return s.transaction(ctx, "delete credential", func(ctx context.Context, r run) error {
		// Two deletions of one user follow each other, so that the second one sees that it would take the last.
		if _, err := r.lockUser(ctx, userID); err != nil {
			return err
		}
		own, others := false, false
		err := r.each(ctx, `SELECT id FROM credentials WHERE user_id = ?`+r.dialect.keep, []any{userID}, func(scan func(...any) error) error {
			var one string
			if err := scan(&one); err != nil {
				return err
			}
			if one == id {
				own = true
			} else {
				others = true
			}
			return nil
		})
		switch {
		case err != nil:
			return err
		case !own:
			return verdict{authcore.ErrCredentialNotFound}
		case !others:
			return verdict{authcore.ErrLastCredential}
		}
		_, err = r.exec(ctx, `DELETE FROM credentials WHERE id = ?`, id)
		return err
	})
}

func (r run) insertCredential(ctx context.Context, c authcore.Credential) error {
	n, err := r.exec(ctx, `INSERT INTO credentials (id, user_id, kind, key, name, data, created, last_used, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		c.ID, c.UserID, string(c.Kind), c.Key, c.Name, c.Data, micros(c.Created), micros(c.LastUsed), c.Version)
	if err != nil || n > 0 {
		return err
	}
	inUse, err := r.row(ctx, `SELECT 1 FROM credentials WHERE kind = ? AND key = ?`, []any{string(c.Kind), c.Key}, new(int))
	switch {
	case err != nil:
		return err
	case inUse:
		return verdict{authcore.ErrCredentialInUse}
	}
	return verdict{authcore.ErrConflict}
}

func (r run) credentials(ctx context.Context, statement string, args ...any) (all []authcore.Credential, err error) {
	err = r.each(ctx, statement, args, func(scan func(...any) error) error {
		var c authcore.Credential
		var created, lastUsed int64
		if err := scan(&c.ID, &c.UserID, (*string)(&c.Kind), &c.Key, &c.Name, &c.Data, &created, &lastUsed, &c.Version); err != nil {
			return err
		}
		c.Created, c.LastUsed = instant(created), instant(lastUsed)
		all = append(all, c)
		return nil
	})
	return all, err
}
