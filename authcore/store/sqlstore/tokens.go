package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const tokenColumns = `id, user_id, origin, name, secret_hash, all_roles, roles, paths, created, expires, last_used`

// CreatePersonalAccessToken implements authcore.PersonalAccessTokens.
func (s *Store) CreatePersonalAccessToken(ctx context.Context, t authcore.PersonalAccessToken) error {
	return s.transaction(ctx, "create personal access token", func(ctx context.Context, r run) error {
		if there, err := r.lockUser(ctx, t.UserID); err != nil {
			return err
		} else if !there {
			return verdict{authcore.ErrUserNotFound}
		}
		roles, err := json.Marshal(t.Roles)
		if err != nil {
			return err
		}
		paths, err := json.Marshal(t.Paths)
		if err != nil {
			return err
		}
		allRoles := 0
		if t.AllRoles {
			allRoles = 1
		}
		n, err := r.exec(ctx, `INSERT INTO personal_access_tokens (`+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			t.ID, t.UserID, t.Origin, t.Name, t.SecretHash[:], allRoles, string(roles), string(paths), micros(t.Created),
			microsOrNull(t.Expires), microsOrNull(t.LastUsed))
		if err == nil && n == 0 {
			err = verdict{authcore.ErrConflict}
		}
		return err
	})
}

// PersonalAccessToken implements authcore.PersonalAccessTokens.
func (s *Store) PersonalAccessToken(ctx context.Context, id string) (t authcore.PersonalAccessToken, err error) {
	err = s.read(ctx, "personal access token", func(ctx context.Context, r run) error {
		found, err := r.tokens(ctx, `WHERE id = ?`+r.dialect.keep, id)
		if err == nil && len(found) == 0 {
			err = verdict{authcore.ErrPersonalAccessTokenNotFound}
		}
		if err == nil {
			t = found[0]
		}
		return err
	})
	return t, err
}

// PersonalAccessTokensOf implements authcore.PersonalAccessTokens.
func (s *Store) PersonalAccessTokensOf(ctx context.Context, userID string) (all []authcore.PersonalAccessToken, err error) {
	err = s.read(ctx, "personal access tokens of", func(ctx context.Context, r run) error {
		all, err = r.tokens(ctx, `WHERE user_id = ? ORDER BY created, id`, userID)
		return err
	})
	return all, err
}

// NotePersonalAccessTokens implements authcore.PersonalAccessTokens.
func (s *Store) NotePersonalAccessTokens(ctx context.Context, used map[string]time.Time) error {
	return s.transaction(ctx, "note personal access tokens", func(ctx context.Context, r run) error {
		// In one order, so that two instances that note the same ones do not wait for each other.
		for _, id := range slices.Sorted(maps.Keys(used)) {
			at := micros(used[id])
			if _, err := r.exec(ctx, `UPDATE personal_access_tokens SET last_used = ? WHERE id = ? AND (last_used IS NULL OR last_used < ?)`, at, id, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeletePersonalAccessToken implements authcore.PersonalAccessTokens.
func (s *Store) DeletePersonalAccessToken(ctx context.Context, userID, id string) error {
	return s.statement(ctx, "delete personal access token", func(ctx context.Context, r run) error {
		n, err := r.exec(ctx, `DELETE FROM personal_access_tokens WHERE id = ? AND user_id = ?`, id, userID)
		if err == nil && n == 0 {
			err = verdict{authcore.ErrPersonalAccessTokenNotFound}
		}
		return err
	})
}

// DeleteExpiredPersonalAccessTokens implements authcore.PersonalAccessTokens.
func (s *Store) DeleteExpiredPersonalAccessTokens(ctx context.Context, before time.Time) (int, error) {
	return s.sweep(ctx, "delete expired personal access tokens",
		`DELETE FROM personal_access_tokens WHERE id IN (SELECT id FROM personal_access_tokens WHERE expires <= ? LIMIT ?`+s.dialect.SkipLocked+`)`, before)
}

func (r run) tokens(ctx context.Context, where string, args ...any) (all []authcore.PersonalAccessToken, err error) {
	err = r.each(ctx, `SELECT `+tokenColumns+` FROM personal_access_tokens `+where, args, func(scan func(...any) error) error {
		t, err := scanToken(scan)
		all = append(all, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func scanToken(scan func(...any) error) (t authcore.PersonalAccessToken, err error) {
	var hash, roles, paths []byte
	var created, allRoles int64
	var expires, lastUsed sql.NullInt64
	if err := scan(&t.ID, &t.UserID, &t.Origin, &t.Name, &hash, &allRoles, &roles, &paths, &created, &expires, &lastUsed); err != nil {
		return authcore.PersonalAccessToken{}, err
	}
	if len(hash) != len(t.SecretHash) {
		return authcore.PersonalAccessToken{}, fmt.Errorf("a hash of %d bytes in a personal access token", len(hash))
	}
	t.SecretHash, t.AllRoles = [32]byte(hash), allRoles != 0
	t.Created, t.Expires, t.LastUsed = instant(created), instantOrZero(expires), instantOrZero(lastUsed)
	if err := json.Unmarshal(roles, &t.Roles); err != nil {
		return authcore.PersonalAccessToken{}, err
	}
	return t, json.Unmarshal(paths, &t.Paths)
}

// microsOrNull and instantOrZero convert times that may be zero: never.
func microsOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

func instantOrZero(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return instant(micros.Int64)
}
