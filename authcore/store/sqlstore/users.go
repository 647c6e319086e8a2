package sqlstore

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/caddy-authgate/authgate/authcore"
)

const userColumns = `u.id, u.username, u.name, u.email, u.roles, u.disabled, u.created, u.version`

// CreateUser implements authcore.Users. An id that is stored already, the user's or the credential's, is ErrConflict.
func (s *Store) CreateUser(ctx context.Context, u authcore.User, first authcore.Credential) error {
	if first.UserID != u.ID {
		return errors.New("sqlstore: create user: the first credential is not the new user's")
	}
	return s.transaction(ctx, "create user", func(ctx context.Context, r run) error {
		roles, err := json.Marshal(u.Roles)
		if err != nil {
			return err
		}
		n, err := r.exec(ctx, `INSERT INTO users (id, username, folded, name, email, roles, disabled, created, version, searchable)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			u.ID, u.Username, authcore.FoldUsername(u.Username), u.Name, u.Email, string(roles), flag(u.Disabled), micros(u.Created), u.Version,
			u.Version)
		if err != nil {
			return err
		} else if n == 0 {
			return r.refused(ctx, u)
		}
		if err := r.claimUsername(ctx, u); err != nil {
			return err
		}
		if err := r.insertCredential(ctx, first); err != nil {
			return err
		}
		return r.indexNew(ctx, []authcore.User{u})
	})
}

// User implements authcore.Users.
func (s *Store) User(ctx context.Context, id string) (u authcore.User, err error) {
	err = s.read(ctx, "user", func(ctx context.Context, r run) error {
		u, err = r.user(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id = ?`, id)
		return err
	})
	return u, err
}

// UserByUsername implements authcore.Users.
func (s *Store) UserByUsername(ctx context.Context, username string) (u authcore.User, err error) {
	err = s.read(ctx, "user by username", func(ctx context.Context, r run) error {
		// A name the account only had before finds nobody.
		u, err = r.user(ctx, `SELECT `+userColumns+` FROM usernames n JOIN users u ON u.id = n.user_id AND u.folded = n.folded
			WHERE n.folded = ?`, authcore.FoldUsername(username))
		return err
	})
	return u, err
}

// UserByEmail implements authcore.Users.
func (s *Store) UserByEmail(ctx context.Context, email string) (u authcore.User, err error) {
	err = s.read(ctx, "user by e-mail", func(ctx context.Context, r run) error {
		// Said of the index, which has no empty addresses.
		u, err = r.user(ctx, `SELECT `+userColumns+` FROM users u WHERE u.email = ? AND u.email <> ''`, email)
		return err
	})
	return u, err
}

// UpdateUser implements authcore.Users.
func (s *Store) UpdateUser(ctx context.Context, u authcore.User) error {
	return s.transaction(ctx, "update user", func(ctx context.Context, r run) error {
		roles, err := json.Marshal(u.Roles)
		if err != nil {
			return err
		}
		n, err := r.exec(ctx, `UPDATE users SET username = ?, folded = ?, name = ?, email = ?, roles = ?, disabled = ?, created = ?,
			version = version + 1, searchable = version + 1 WHERE id = ? AND version = ?
				AND NOT EXISTS (SELECT 1 FROM users o WHERE o.email = ? AND o.email <> '' AND o.id <> ?)`,
			u.Username, authcore.FoldUsername(u.Username), u.Name, u.Email, string(roles), flag(u.Disabled), micros(u.Created), u.ID, u.Version,
			u.Email, u.ID)
		if err != nil {
			return err
		} else if n == 0 {
			there, err := r.row(ctx, `SELECT 1 FROM users WHERE id = ? AND version = ?`, []any{u.ID, u.Version}, new(int))
			if err != nil {
				return err
			} else if !there {
				return r.lost(ctx, authcore.ErrUserNotFound, `SELECT 1 FROM users WHERE id = ?`, u.ID)
			}
			return r.taken(ctx, u)
		}
		if err := r.claimUsername(ctx, u); err != nil {
			return err
		}
		return r.index(ctx, []authcore.User{u})
	})
}

// DeleteUser implements authcore.Users. A user who is not there is ErrUserNotFound. What refers to the user goes, or for
// the usernames stays without an owner, by the foreign keys.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	return s.statement(ctx, "delete user", func(ctx context.Context, r run) error {
		n, err := r.exec(ctx, `DELETE FROM users WHERE id = ?`, id)
		if err == nil && n == 0 {
			err = verdict{authcore.ErrUserNotFound}
		}
		return err
	})
}

// refused says why a user could not be stored.
func (r run) refused(ctx context.Context, u authcore.User) error {
	there, err := r.row(ctx, `SELECT 1 FROM users WHERE id = ?`, []any{u.ID}, new(int))
	switch {
	case err != nil:
		return err
	case there:
		return verdict{authcore.ErrConflict}
	}
	return r.taken(ctx, u)
}

// taken says what of a user's belongs to another one; it is the address where the username is free.
func (r run) taken(ctx context.Context, u authcore.User) error {
	taken, err := r.row(ctx, `SELECT 1 FROM usernames WHERE folded = ? AND (user_id IS NULL OR user_id <> ?)`,
		[]any{authcore.FoldUsername(u.Username), u.ID}, new(int))
	switch {
	case err != nil:
		return err
	case taken:
		return verdict{authcore.ErrUsernameTaken}
	}
	return verdict{authcore.ErrEmailTaken}
}

// claimUsername makes the username the user's, unless it ever was somebody else's.
func (r run) claimUsername(ctx context.Context, u authcore.User) error {
	if u.Username == "" {
		return nil
	}
	n, err := r.exec(ctx, `INSERT INTO usernames (folded, user_id) VALUES (?, ?)
		ON CONFLICT (folded) DO UPDATE SET user_id = excluded.user_id WHERE usernames.user_id = excluded.user_id`,
		authcore.FoldUsername(u.Username), u.ID)
	if err == nil && n == 0 {
		err = verdict{authcore.ErrUsernameTaken}
	}
	return err
}

// lockUser keeps the user from being changed or deleted until the transaction ends, and reports whether there is one.
func (r run) lockUser(ctx context.Context, id string) (bool, error) {
	return r.row(ctx, `SELECT id FROM users WHERE id = ?`+r.dialect.LockRow, []any{id}, new(string))
}

// lost says why a compare-and-set changed nothing: the row is not there, or it is and was changed.
func (r run) lost(ctx context.Context, notFound error, statement string, args ...any) error {
	there, err := r.row(ctx, statement, args, new(int))
	switch {
	case err != nil:
		return err
	case there:
		return verdict{authcore.ErrConflict}
	}
	return verdict{notFound}
}

func (r run) user(ctx context.Context, statement string, arg string) (u authcore.User, err error) {
	found := false
	err = r.each(ctx, statement+r.dialect.keep, []any{arg}, func(scan func(...any) error) error {
		found = true
		u, err = scanUser(scan)
		return err
	})
	if err != nil {
		return authcore.User{}, err
	} else if !found {
		return authcore.User{}, verdict{authcore.ErrUserNotFound}
	}
	return u, nil
}

// flag is how a truth is stored: not all databases have a type for it.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
