package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const inviteColumns = `id, key_hash, roles, note, made_by, created, expires, uses, used`

// CreateInvite implements authcore.Invites.
func (s *Store) CreateInvite(ctx context.Context, i authcore.Invite) error {
	return s.statement(ctx, "create invite", func(ctx context.Context, r run) error {
		roles, err := json.Marshal(i.Roles)
		if err != nil {
			return err
		}
		n, err := r.exec(ctx, `INSERT INTO invites (`+inviteColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			i.ID, i.KeyHash[:], string(roles), i.Note, i.By, micros(i.Created), micros(i.Expires), i.Uses, i.Used)
		if err == nil && n == 0 {
			err = verdict{authcore.ErrConflict}
		}
		return err
	})
}

// Invite implements authcore.Invites.
func (s *Store) Invite(ctx context.Context, keyHash [32]byte) (i authcore.Invite, err error) {
	err = s.read(ctx, "invite", func(ctx context.Context, r run) error {
		found := false
		i, found, err = r.invite(ctx, `SELECT `+inviteColumns+` FROM invites WHERE key_hash = ?`+r.dialect.keep, keyHash[:])
		if err == nil && !found {
			err = verdict{authcore.ErrInviteNotFound}
		}
		return err
	})
	if err != nil {
		return authcore.Invite{}, err
	}
	return i, nil
}

// UseInvite implements authcore.Invites. Looking whether a use is left and taking it is one statement, so that of many at
// once, on however many instances, no more succeed than it has uses.
func (s *Store) UseInvite(ctx context.Context, keyHash [32]byte, now time.Time) (i authcore.Invite, err error) {
	err = s.statement(ctx, "use invite", func(ctx context.Context, r run) error {
		found := false
		i, found, err = r.invite(ctx, `UPDATE invites SET used = used + 1 WHERE key_hash = ? AND used < uses AND expires > ? RETURNING `+inviteColumns,
			keyHash[:], micros(now))
		if err != nil || found {
			return err
		}
		there, err := r.row(ctx, `SELECT 1 FROM invites WHERE key_hash = ?`, []any{keyHash[:]}, new(int))
		switch {
		case err != nil:
			return err
		case there:
			return verdict{authcore.ErrInviteExpired}
		}
		return verdict{authcore.ErrInviteNotFound}
	})
	if err != nil {
		return authcore.Invite{}, err
	}
	return i, nil
}

// InvitesOpen implements authcore.Invites.
func (s *Store) InvitesOpen(ctx context.Context) (all []authcore.Invite, err error) {
	err = s.read(ctx, "open invites", func(ctx context.Context, r run) error {
		all = nil
		return r.each(ctx, `SELECT `+inviteColumns+` FROM invites ORDER BY created DESC, id DESC`, nil, func(scan func(...any) error) error {
			i, err := scanInvite(scan)
			all = append(all, i)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// RevokeInvite implements authcore.Invites.
func (s *Store) RevokeInvite(ctx context.Context, id string) error {
	return s.statement(ctx, "revoke invite", func(ctx context.Context, r run) error {
		n, err := r.exec(ctx, `DELETE FROM invites WHERE id = ?`, id)
		if err == nil && n == 0 {
			err = verdict{authcore.ErrInviteNotFound}
		}
		return err
	})
}

// DeleteExpiredInvites implements authcore.Invites.
func (s *Store) DeleteExpiredInvites(ctx context.Context, before time.Time) (int, error) {
	return s.sweep(ctx, "delete expired invites",
		`DELETE FROM invites WHERE id IN (SELECT id FROM invites WHERE expires <= ? LIMIT ?`+s.dialect.SkipLocked+`)`, before)
}

func (r run) invite(ctx context.Context, statement string, args ...any) (i authcore.Invite, found bool, err error) {
	err = r.each(ctx, statement, args, func(scan func(...any) error) error {
		found = true
		i, err = scanInvite(scan)
		return err
	})
	return i, found, err
}

func scanInvite(scan func(...any) error) (i authcore.Invite, err error) {
	var hash, roles []byte
	var created, expires int64
	if err := scan(&i.ID, &hash, &roles, &i.Note, &i.By, &created, &expires, &i.Uses, &i.Used); err != nil {
		return authcore.Invite{}, err
	}
	if copy(i.KeyHash[:], hash) != len(hash) {
		return authcore.Invite{}, fmt.Errorf("a hash of %d bytes in an invite", len(hash))
	}
	i.Created, i.Expires = instant(created), instant(expires)
	return i, json.Unmarshal(roles, &i.Roles)
}
