package sqlstore

import (
	"context"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	indexedAtOnce   = 500   // users in one transaction, so that others need not wait long
	indexedBySearch = 5_000 // users before one search; the next one goes on
)

// searchable writes what users are found by for up to n of those for whom an older program did not, or a restore.
func (s *Store) searchable(ctx context.Context, n int) error {
	for n > 0 {
		left := false
		err := s.read(ctx, "look for users to index", func(ctx context.Context, r run) (err error) {
			// Sorted so that planners take the index, in which there are few, and do not look for the many they expect.
			left, err = r.row(ctx, `SELECT id FROM users WHERE searchable <> version ORDER BY id`+r.dialect.Bytewise+` LIMIT 1`, nil, new(string))
			return err
		})
		if err != nil || !left {
			return err
		}
		err = s.transaction(ctx, "index users", func(ctx context.Context, r run) error {
			var users []authcore.User
			err := r.each(ctx, `SELECT `+userColumns+` FROM users u WHERE u.searchable <> u.version ORDER BY u.id`+r.dialect.Bytewise+` LIMIT ?`+r.dialect.LockRow,
				[]any{min(n, indexedAtOnce)}, func(scan func(...any) error) error {
					u, err := scanUser(scan)
					users = append(users, u)
					return err
				})
			if err != nil || len(users) == 0 {
				return err
			}
			if err := r.index(ctx, users); err != nil {
				return err
			}
			marks, ids := idsOf(users)
			_, err = r.exec(ctx, `UPDATE users SET searchable = version WHERE id IN (`+marks+`)`, ids...)
			return err
		})
		if err != nil {
			return err
		}
		n -= indexedAtOnce
	}
	return nil
}

// index writes anew what users are found by who are stored as they are given here, and whom nobody else changes meanwhile.
func (r run) index(ctx context.Context, users []authcore.User) error {
	for _, table := range []string{"user_names", "user_roles"} {
		marks, ids := idsOf(users)
		if _, err := r.exec(ctx, `DELETE FROM `+table+` WHERE user_id IN (`+marks+`)`, ids...); err != nil {
			return err
		}
	}
	return r.indexNew(ctx, users)
}

// indexNew is index for users for whom nothing is written yet.
func (r run) indexNew(ctx context.Context, users []authcore.User) error {
	var names, roles []any
	for _, u := range users {
		for _, text := range authcore.NameTexts(clientText(u.Name)) {
			names = append(names, text, u.ID)
		}
		for _, role := range unique(u.Roles) {
			roles = append(roles, role, authcore.FoldUsername(u.Username), micros(u.Created), u.ID)
		}
	}
	if err := r.insert(ctx, `INSERT INTO user_names (text, user_id) VALUES `, 2, names); err != nil {
		return err
	}
	return r.insert(ctx, `INSERT INTO user_roles (role, folded, created, user_id) VALUES `, 4, roles)
}

func idsOf(users []authcore.User) (marks string, ids []any) {
	texts := make([]string, len(users))
	for i, u := range users {
		texts[i] = u.ID
	}
	return placeholders(texts)
}

// insert adds rows of so many columns.
func (r run) insert(ctx context.Context, into string, columns int, values []any) error {
	const most = 16_000 // SQLite takes 32766 values in one statement
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
	for len(values) > 0 {
		part := values[:min(most, len(values))]
		values = values[len(part):]
		if _, err := r.exec(ctx, into+strings.TrimSuffix(strings.Repeat(row+", ", len(part)/columns), ", "), part...); err != nil {
			return err
		}
	}
	return nil
}

// unique answers the texts in the form in which they are stored, each once.
func unique(texts []string) (all []string) {
	there := map[string]bool{}
	for _, s := range texts {
		if s = clientText(s); s != "" && !there[s] {
			there[s] = true
			all = append(all, s)
		}
	}
	return all
}
