package sqlstore

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

// found answers the ids of whom a query finds.
func found(t *testing.T, s *Store, q authcore.UserQuery) (ids string) {
	t.Helper()
	for {
		page, err := s.FindUsers(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Users {
			ids += u.ID + " "
		}
		if q.After = page.Next; q.After == "" {
			return ids
		}
	}
}

// An instance of the release before works on beside this one, and knows nothing of what users are found by: whom it opens
// accounts for, changes and deletes is found as they are all the same.
func TestUsersOfOlderProgramsAreFound(t *testing.T) {
	for name, open := range kindsOfStores {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			// As that release writes them.
			insert := `INSERT INTO users (id, username, folded, name, email, roles, disabled, created, version) VALUES (?, ?, ?, ?, '', ?, 0, ?, 0)`
			for i := range 3 {
				id := fmt.Sprint("u", i)
				mustExec(t, s, insert, id, id, id, "Old Name", `["editor"]`, int64(i))
			}
			for _, q := range []authcore.UserQuery{{Search: "old"}, {Search: "name"}, {Role: "editor"}, {}, {Order: authcore.ByCreated}} {
				if got := found(t, s, q); got != "u0 u1 u2 " {
					t.Errorf("%+v: %q", q, got)
				}
			}
			mustExec(t, s, `UPDATE users SET username = 'x', folded = 'x', name = 'New', roles = '["admin"]', version = version + 1 WHERE id = ?`, "u1")
			for _, c := range []struct {
				q    authcore.UserQuery
				want string
			}{
				{authcore.UserQuery{Search: "new"}, "u1 "},
				{authcore.UserQuery{Search: "old"}, "u0 u2 "},
				{authcore.UserQuery{Role: "editor"}, "u0 u2 "},
				{authcore.UserQuery{Role: "admin"}, "u1 "},
				{authcore.UserQuery{}, "u0 u2 u1 "},
			} {
				if got := found(t, s, c.q); got != c.want {
					t.Errorf("%+v: %q, want %q", c.q, got, c.want)
				}
			}
			mustExec(t, s, `DELETE FROM users WHERE id = ?`, "u1")
			for _, q := range []authcore.UserQuery{{Search: "new"}, {Role: "admin"}} {
				if got := found(t, s, q); got != "" {
					t.Errorf("%+v: %q", q, got)
				}
			}
			// This release has changed somebody whom that one changes then.
			u, err := s.User(t.Context(), "u0")
			if err != nil {
				t.Fatal(err)
			}
			u.Name = "Between"
			if err := s.UpdateUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			mustExec(t, s, `UPDATE users SET name = 'After', version = version + 1 WHERE id = ?`, "u0")
			if got := found(t, s, authcore.UserQuery{Search: "after"}) + found(t, s, authcore.UserQuery{Search: "between"}); got != "u0 " {
				t.Errorf("%q", got)
			}
		})
	}
}

// Those who were there before the schema knew what users are found by, more than one step takes.
func TestMigrationMakesUsersSearchable(t *testing.T) {
	for name, open := range kindsOfStores {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			const many = 2*indexedAtOnce + 3
			for i := range many {
				id := fmt.Sprintf("u%04d", i)
				mustExec(t, s, `INSERT INTO users (id, username, folded, name, email, roles, disabled, created, version)
					VALUES (?, ?, ?, 'Old Name', '', '["editor", "editor", "admin"]', 0, 0, 0)`, id, id, id)
			}
			if err := Migrate(t.Context(), s.db, s.dialect); err != nil {
				t.Fatal(err)
			}
			for table, want := range map[string]int{"user_names": 2 * many, "user_roles": 2 * many} {
				var n int
				if err := s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != want {
					t.Errorf("%d rows in %s, want %d; %v", n, table, want, err)
				}
			}
		})
	}
}

// What users are found by is not in a backup: it is there again after a restore.
func TestUsersAreFoundAfterARestore(t *testing.T) {
	full, s := openSQLite(t), openSQLite(t)
	fill(t, full)
	dump, _ := dumped(t, full)
	if _, err := s.Restore(t.Context(), bytes.NewReader(dump)); err != nil {
		t.Fatal(err)
	}
	all := found(t, full, authcore.UserQuery{})
	if got := found(t, s, authcore.UserQuery{}); got != all || all == "" {
		t.Errorf("found %q, were %q", got, all)
	}
	page, err := full.FindUsers(t.Context(), authcore.UserQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range page.Users {
		for _, text := range append(authcore.NameTexts(u.Name), u.Username, u.Email) {
			for _, q := range []authcore.UserQuery{{Search: text}, {Search: text, Disabled: new(true)}} {
				if a, b := found(t, full, q), found(t, s, q); a != b {
					t.Errorf("%q: found %q, was %q", text, b, a)
				}
			}
		}
		for _, role := range u.Roles {
			q := authcore.UserQuery{Role: role}
			if a, b := found(t, full, q), found(t, s, q); a != b || a == "" {
				t.Errorf("%q: found %q, was %q", role, b, a)
			}
		}
	}
}

// A rare thing is looked for among many: a page looks at a bounded part of them and says where to go on, and all pages
// together miss nobody.
func TestPagesLookAtABoundedPart(t *testing.T) {
	s := openSQLite(t)
	const many = 2*maxLooked + 10
	mustExec(t, s, `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT ?)
		INSERT INTO users (id, username, folded, name, email, roles, disabled, created, version)
		SELECT 'u' || i, 'u' || i, 'u' || i, 'Same Name', '', '["member"]', i % 4001 = 4000, 0, 0 FROM n`, many)
	if err := Migrate(t.Context(), s.db, s.dialect); err != nil {
		t.Fatal(err)
	}
	q := authcore.UserQuery{Search: "same", Disabled: new(true)}
	pages, ids := 0, ""
	for ; pages < 10; pages++ {
		page, err := s.FindUsers(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Users {
			ids += u.ID + " "
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if ids != "u4000 u8001 " || pages == 0 {
		t.Errorf("found %q on %d pages", ids, pages+1)
	}
}

// On PostgreSQL, too, each list and search is read along an index, however many users there are.
func TestListsOfUsersUseIndexesOnPostgres(t *testing.T) {
	s := kindsOfStores["postgres"](t)
	mustExec(t, s, `INSERT INTO users (id, username, folded, name, email, roles, disabled, created, version)
		SELECT 'u' || i, 'u' || i, 'u' || i, 'Same Name', 'u' || i || '@example.com', '["member"]', CASE WHEN i % 4 = 0 THEN 1 ELSE 0 END, i, 0
		FROM generate_series(1, 20000) i`)
	mustExec(t, s, `INSERT INTO credentials (id, user_id, kind, key, name, created, last_used, version)
		SELECT 'c' || i, 'u' || i, CASE WHEN i % 2 = 0 THEN 'wallet' ELSE 'password' END, '0x' || md5(i::text) || '00000000', '', 0, 0, 0
		FROM generate_series(1, 20000) i`)
	if err := Migrate(t.Context(), s.db, s.dialect); err != nil {
		t.Fatal(err)
	}
	mustExec(t, s, `ANALYZE`)
	r := run{s.db, &s.dialect}
	explain := func(statement string, args ...any) {
		t.Helper()
		var plan string
		err := r.each(t.Context(), `EXPLAIN `+statement, args, func(scan func(...any) error) error {
			var line string
			err := scan(&line)
			plan += line + "\n"
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") && !strings.Contains(plan, "Incremental Sort") {
			t.Errorf("%s\n%s", statement, plan)
		}
	}
	for _, q := range []authcore.UserQuery{
		{},
		{Descending: true},
		{Order: authcore.ByCreated},
		{Order: authcore.ByCreated, Descending: true},
		{Role: "member"},
		{Role: "member", Order: authcore.ByCreated},
		{Disabled: new(true)},
		{Disabled: new(true), Order: authcore.ByCreated},
		{Search: "u123"},
		{Search: "same"},
		{Search: "0x12"},
	} {
		w, err := r.way(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range w.sources {
			for _, later := range []bool{w.upto != "", true} {
				at := authcore.UserPlace{Key: map[bool]string{true: "500", false: q.Text() + "5"}[w.number], ID: "u5"}
				statement, args := one.statement(w, at, later, 51)
				explain(statement, args...)
			}
		}
	}
	explain(`SELECT id FROM users WHERE searchable <> version ORDER BY id` + s.dialect.Bytewise + ` LIMIT 1`)
}
