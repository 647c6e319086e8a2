package sqlstore

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/database"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 123456000, time.UTC)

// kinds of databases, each with what opens an empty one.
var kindsOfStores = map[string]func(testing.TB) *Store{"sqlite": openSQLite, "postgres": openPostgres}

func openSQLite(t testing.TB) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	s := openOn(t, "sqlite", path+"?_txlock=immediate&_foreign_keys=1&_journal_mode=WAL&_synchronous=OFF&_busy_timeout=100", testDialect())
	reads, err := sql.Open("sqlite", path+"?_query_only=1&_busy_timeout=100")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reads.Close() })
	s.reads = reads
	return s
}

func openPostgres(t testing.TB) *Store {
	t.Helper()
	return openOn(t, "pgx", servers.Postgres(t), Dialect{
		Name: database.DialectPostgres, Migrations: PostgresMigrations(), Numbered: true, LockRow: " FOR UPDATE",
		Bytewise: ` COLLATE "C"`,
		Again:    func(error) bool { return false },
	})
}

func openOn(t testing.TB, driver, source string, d Dialect) *Store {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := Migrate(t.Context(), db, d); err != nil {
		t.Fatal(err)
	}
	return New(Config{DB: db, Dialect: d})
}

// passing are the tables that a dump leaves out: what is for the moment, what is about the database itself, and what follows
// from other tables and is written anew after a restore.
var passing = []string{"attempts", "challenges", "compatibility", "migrations", "notices", "user_names", "user_roles"}

// Somebody adds a table or a column and does not think of backups: what is in it would be gone after a restore.
func TestDumpHoldsTheWholeSchema(t *testing.T) {
	for _, c := range []struct {
		store   string
		columns string // name of the table, of the column, its type, whether NULL is allowed
		kinds   map[string][]kind
	}{
		{
			"sqlite", `SELECT m.name, c.name, c.type, c."notnull" = 0 FROM sqlite_schema m JOIN pragma_table_info(m.name) c
				WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid`,
			map[string][]kind{"TEXT": {text, list}, "INTEGER": {number}, "BLOB": {blob, hash32}},
		},
		{
			"postgres", `SELECT table_name, column_name, data_type, is_nullable = 'YES' FROM information_schema.columns
				WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`,
			map[string][]kind{"text": {text, list}, "bigint": {number}, "bytea": {blob, hash32}},
		},
	} {
		t.Run(c.store, func(t *testing.T) {
			s := kindsOfStores[c.store](t)
			rows, err := s.db.QueryContext(t.Context(), c.columns)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			there := map[string]map[string]bool{}
			for rows.Next() {
				var table, name, kind string
				var null bool
				if err := rows.Scan(&table, &name, &kind, &null); err != nil {
					t.Fatal(err)
				}
				if slices.Contains(passing, table) || table+"."+name == "users.searchable" {
					continue
				}
				if there[table] == nil {
					there[table] = map[string]bool{}
				}
				there[table][name] = true
				got, ok := columnOf(table, name)
				if !ok {
					t.Errorf("a dump does not hold %s.%s", table, name)
				} else if got.null != null || !slices.Contains(c.kinds[kind], got.kind) {
					t.Errorf("%s.%s is %s, NULL %v; a dump takes it for %+v", table, name, kind, null, got)
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			for _, table := range durable {
				if len(there[table.name]) != len(table.columns) {
					t.Errorf("a dump holds %d columns of %s, there are %d", len(table.columns), table.name, len(there[table.name]))
				}
			}
		})
	}
}

func columnOf(tableName, name string) (column, bool) {
	for _, t := range durable {
		for _, c := range t.columns {
			if t.name == tableName && c.name == name {
				return c, true
			}
		}
	}
	return column{}, false
}

// fill stores one of everything, and values at the edges of what there is.
func fill(t testing.TB, s *Store) {
	t.Helper()
	allBytes := make([]byte, 256)
	for i := range allBytes {
		allBytes[i] = byte(i)
	}
	ctx, stores := t.Context(), s.Stores()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"alice", "bob", "O'Brien \"the\" <b>&\\u2028\u2028 \t\n\\", "Zoë 日本 🦊 \u0001", strings.Repeat("x", 5000), ""}
	for i, name := range names {
		u := authcore.User{
			ID: fmt.Sprint("user", i), Username: fmt.Sprint("0xAbC", i), Name: name, Roles: []string{"editor", name}, Disabled: i == 1,
			Created: noon.Add(time.Duration(i) * time.Microsecond), Version: int64(i),
		}
		if i == 0 {
			u.Email, u.Roles = "alice@example.com", nil
		}
		first := authcore.Credential{ID: fmt.Sprint("c", i), UserID: u.ID, Kind: authcore.Wallet, Key: u.Username, Name: name, Created: noon, LastUsed: noon}
		switch i {
		case 0:
			first.Data = allBytes
		case 1:
			first.Data = []byte{} // and nil for all others
		case 2:
			first.Data = []byte{0}
		}
		must(stores.Users.CreateUser(ctx, u, first))
		one := authcore.Session{
			ID: fmt.Sprint("s", i), UserID: u.ID, Origin: "https://app.example.com", Cookie: i%2 == 0, SecretHash: authcore.HashSecret(name),
			Methods:   []authcore.MethodUse{{Method: authcore.Passkey, Time: noon, UserVerified: true}, {Method: authcore.Wallet, Time: noon.Add(1000)}},
			Created:   noon,
			LastSeen:  noon,
			IdleUntil: noon.Add(time.Hour), Until: noon.Add(48 * time.Hour), ClientIP: "2001:db8::1", UserAgent: name, Version: 7,
		}
		if i > 2 {
			one.Refresh = authcore.RefreshState{
				Current: authcore.HashSecret("a"), Previous: authcore.HashSecret("b"), Salt: authcore.HashSecret("c"), Rotated: noon,
			}
		}
		must(stores.Sessions.CreateSession(ctx, one))
		must(stores.Confirmations.ReplaceConfirmation(ctx, authcore.Confirmation{
			KeyHash: authcore.HashSecret(fmt.Sprint(i)), Purpose: authcore.ConfirmReset, Subject: u.ID, Data: first.Data, Created: noon, Expires: noon.Add(time.Hour),
		}))
		must(stores.Outbox.AddMail(ctx, authcore.SealedMail{ID: fmt.Sprint("m", i), Sealed: allBytes, Created: noon, Due: noon, Tries: i}))
		must(stores.Invites.CreateInvite(ctx, authcore.Invite{
			ID: fmt.Sprint("i", i), KeyHash: authcore.HashSecret(fmt.Sprint(i)), Roles: u.Roles, Note: name, By: u.ID,
			Created: noon, Expires: noon.Add(time.Hour), Uses: 3, Used: i % 3,
		}))
		pat := authcore.PersonalAccessToken{
			ID: fmt.Sprint("t", i), UserID: u.ID, Origin: "https://app.example.com", Name: name, SecretHash: authcore.HashSecret(name),
			AllRoles: i%2 == 0, Roles: u.Roles, Created: noon,
		}
		if i > 2 {
			pat.Paths, pat.Expires, pat.LastUsed = []string{"/dav/*", "/" + name}, noon.Add(time.Hour), noon
		}
		must(stores.PersonalAccessTokens.CreatePersonalAccessToken(ctx, pat))
		must(stores.Events.AddEvent(ctx, authcore.Event{
			ID: fmt.Sprint("e", i), Time: noon, Kind: authcore.EventSignIn, Code: "passkey", Subject: u.ID,
			Trace: authcore.Trace{Actor: u.ID, SessionID: "sid", Origin: "https://app.example.com", Client: "::1", UserAgent: name}, Detail: name,
			Salt: allBytes, PersonalHash: authcore.HashSecret(name),
		}))
		if i == 3 { // some are sealed
			_, err := stores.Events.SealEvents(ctx, 100)
			must(err)
		}
		key := authcore.Key{ID: fmt.Sprint("k", i), PKCS8: allBytes[i:], Created: noon}
		after := ""
		if i > 0 {
			after = fmt.Sprint("k", i-1)
		}
		must(stores.Keys.AddKey(ctx, key, after))
	}
	// Names of somebody who is gone, and of somebody who has another one now.
	must(stores.Users.CreateUser(ctx, authcore.User{ID: "gone", Username: "gone", Created: noon}, authcore.Credential{ID: "cg", UserID: "gone", Key: "gone", Created: noon, LastUsed: noon}))
	must(stores.Users.DeleteUser(ctx, "gone"))
	u, err := stores.Users.User(ctx, "user0")
	must(err)
	u.Username = "Renamed"
	must(stores.Users.UpdateUser(ctx, u))
	must(stores.Keys.DeleteKey(ctx, "k2")) // a gap in the positions
	_, err = s.db.ExecContext(ctx, `UPDATE users SET created = -9223372036854775808, version = 9223372036854775807 WHERE id = 'user4'`)
	must(err)
}

func dumped(t testing.TB, s *Store) ([]byte, Contents) {
	t.Helper()
	var out bytes.Buffer
	c, err := s.Dump(t.Context(), &out, noon)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), c
}

// linesOf answers the lines of a dump, without their ends.
func linesOf(t testing.TB, dump []byte) []string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(dump))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(all), "\n"), "\n")
}

// dumpOf makes a dump of lines, of which the last gets the right checksum.
func dumpOf(t testing.TB, lines []string) []byte {
	t.Helper()
	return zipped(t, signed(lines))
}

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if _, err := io.WriteString(zip, text); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func signed(lines []string) string {
	last := len(lines) - 1
	var before strings.Builder
	for _, line := range lines[:last] {
		before.WriteString(line + "\n")
	}
	var end dumpEnd
	if err := json.Unmarshal([]byte(lines[last]), &end); err != nil {
		return before.String() + lines[last] + "\n"
	}
	checksum := sha256.Sum256([]byte(before.String()))
	end.SHA256 = hex.EncodeToString(checksum[:])
	text, err := json.Marshal(end)
	if err != nil {
		panic(err)
	}
	return before.String() + string(text) + "\n"
}

// What was dumped from either kind of database fills either kind, to the last bit.
func TestDumpAndRestore(t *testing.T) {
	for from := range kindsOfStores {
		for to := range kindsOfStores {
			t.Run(from+" to "+to, func(t *testing.T) {
				a, b := kindsOfStores[from](t), kindsOfStores[to](t)
				fill(t, a)
				dump, c := dumped(t, a)
				for table, want := range map[string]int64{
					"users": 6, "usernames": 8, "credentials": 6, "sessions": 6, "signing_keys": 5, "confirmations": 6, "outbox": 6, "invites": 6,
					"events": 6, "event_chain": 1,
				} {
					if c.Rows[table] != want {
						t.Errorf("%d rows of %s, want %d", c.Rows[table], table, want)
					}
				}
				if !c.Time.Equal(noon) || c.Schema < 2 {
					t.Errorf("contents %+v", c)
				}
				checked, err := CheckDump(bytes.NewReader(dump))
				if _, differs := c.differs(checked); err != nil || differs {
					t.Fatalf("check: %+v, %v", checked, err)
				}
				restored, err := b.Restore(t.Context(), bytes.NewReader(dump))
				if err != nil {
					t.Fatal(err)
				}
				if table, differs := c.differs(restored); differs || restored.Schema != c.Schema || !restored.Time.Equal(noon) {
					t.Fatalf("restored %+v, differs in %q", restored, table)
				}
				again, _ := dumped(t, b)
				x, y := linesOf(t, dump), linesOf(t, again)
				slices.Sort(x)
				slices.Sort(y)
				for i := range x {
					// The last line has a checksum over an order that databases choose.
					if x[i] != y[i] && !strings.HasPrefix(x[i], `{"rows":`) {
						t.Errorf("was\n%s\nis\n%s", x[i], y[i])
					}
				}
				sameAnswers(t, a, b)
			})
		}
	}
}

func sameAnswers(t *testing.T, a, b *Store) {
	t.Helper()
	ask := func(s *Store) string {
		stores, told := s.Stores(), ""
		tell := func(v any, err error) { told += fmt.Sprintf("%+v %v\n", v, err) }
		for i := range 6 {
			id := fmt.Sprint("user", i)
			u, err := stores.Users.User(t.Context(), id)
			tell(u, err)
			own, err := stores.Credentials.CredentialsOf(t.Context(), id)
			tell(own, err)
			open, err := stores.Sessions.SessionsOf(t.Context(), id, noon)
			tell(open, err)
			c, err := stores.Confirmations.Confirmation(t.Context(), authcore.ConfirmReset, authcore.HashSecret(fmt.Sprint(i)))
			tell(c, err)
		}
		keys, err := stores.Keys.Keys(t.Context())
		tell(keys, err)
		u, err := stores.Users.UserByUsername(t.Context(), "RENAMED")
		tell(u, err)
		u, err = stores.Users.UserByEmail(t.Context(), "alice@example.com")
		tell(u, err)
		// Names that somebody had are nobody's.
		for _, name := range []string{"gone", "0xabc0"} {
			tell(nil, stores.Users.CreateUser(t.Context(), authcore.User{ID: "new", Username: name}, authcore.Credential{ID: "new", UserID: "new", Key: "new"}))
		}
		mails, err := stores.Outbox.ClaimMails(t.Context(), 10, noon, noon.Add(time.Minute))
		tell(mails, err)
		return told
	}
	if x, y := ask(a), ask(b); x != y {
		t.Errorf("answered\n%s\nnow answers\n%s", x, y)
	}
}

// writerFunc is an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// While a dump is taken, a user is deleted, another one comes and a third changes: none of that is in it, nor a part of it.
func TestDumpIsOfOneMoment(t *testing.T) {
	for name, open := range kindsOfStores {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			fill(t, s)
			_, before := dumped(t, s)
			var out bytes.Buffer
			c, err := s.Dump(t.Context(), writerFunc(func(b []byte) (int, error) {
				if out.Len() == 0 { // the first bytes come before any row was read
					for _, change := range []string{
						`DELETE FROM users WHERE id = 'user1'`, `UPDATE users SET name = 'other' WHERE id = 'user2'`,
						`DELETE FROM outbox`, `DELETE FROM signing_keys`,
					} {
						if _, err := s.db.ExecContext(t.Context(), change); err != nil {
							t.Error(err)
						}
					}
				}
				return out.Write(b)
			}), noon)
			if err != nil {
				t.Fatal(err)
			}
			if table, differs := before.differs(c); differs {
				t.Fatalf("what was done meanwhile is seen in %s: %v, was %v", table, c.Rows, before.Rows)
			}
			if _, now := dumped(t, s); now.Rows["users"] != 5 || now.Rows["outbox"] != 0 {
				t.Fatalf("nothing was done meanwhile: %v", now.Rows)
			}
			if _, err := open(t).Restore(t.Context(), &out); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A store that holds something is never mixed with another one.
func TestRestoreOnlyIntoAnEmptyStore(t *testing.T) {
	for name, open := range kindsOfStores {
		t.Run(name, func(t *testing.T) {
			full := openSQLite(t)
			fill(t, full)
			dump, _ := dumped(t, full)
			lines := linesOf(t, dump)
			for _, table := range durable {
				s := open(t)
				// A store that holds rows of this one table, those it refers to excepted.
				if name == "sqlite" {
					s.db.SetMaxOpenConns(1)
					mustExec(t, s, `PRAGMA foreign_keys = 0`)
				} else {
					mustExec(t, s, `ALTER TABLE `+table.name+` DISABLE TRIGGER ALL`)
				}
				insertRows(t, s, table, lines)
				before, _ := dumped(t, s)
				_, err := s.Restore(t.Context(), bytes.NewReader(dump))
				if !errors.Is(err, ErrNotEmpty) || errors.Is(err, authcore.ErrUnavailable) || !strings.Contains(err.Error(), table.name) {
					t.Errorf("%s: got error %v", table.name, err)
				}
				if after, _ := dumped(t, s); !bytes.Equal(before, after) {
					t.Errorf("%s: it was changed", table.name)
				}
			}
			// What is for the moment is no reason.
			s := open(t)
			if _, err := s.CountAttempt(t.Context(), "key", time.Hour, noon); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Restore(t.Context(), bytes.NewReader(dump)); err != nil {
				t.Error(err)
			}
			if a, err := s.Attempts(t.Context(), "key", noon); err != nil || a.Count != 1 {
				t.Errorf("attempts %v, %v", a, err)
			}
		})
	}
}

func mustExec(t testing.TB, s *Store, statement string, args ...any) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), s.dialect.bind(statement), args...); err != nil {
		t.Fatal(err)
	}
}

// insertRows stores the rows that the lines of a dump have of a table.
func insertRows(t testing.TB, s *Store, of table, lines []string) {
	t.Helper()
	within := false
	for _, line := range lines {
		if line[0] != '[' {
			within = strings.HasPrefix(line, `{"table":"`+of.name+`"`)
			continue
		}
		if !within {
			continue
		}
		values, err := of.parse([]byte(line + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range of.columns {
			names = append(names, c.name)
		}
		mustExec(t, s, `INSERT INTO `+of.name+` (`+strings.Join(names, ", ")+`) VALUES (?`+strings.Repeat(", ?", len(values)-1)+`)`, values...)
	}
}

func wantEmpty(t *testing.T, s *Store) {
	t.Helper()
	if _, c := dumped(t, s); len(c.Rows) != 0 {
		t.Fatalf("something was stored: %v", c.Rows)
	}
}

// small is a dump with few rows, for tests that do something to every byte of it.
func small(t testing.TB) []byte {
	t.Helper()
	s := openSQLite(t)
	stores := s.Stores()
	err := stores.Users.CreateUser(t.Context(), authcore.User{ID: "alice", Username: "alice", Created: noon}, authcore.Credential{ID: "c", UserID: "alice", Key: "k", Created: noon, LastUsed: noon})
	if err == nil {
		err = stores.Keys.AddKey(t.Context(), authcore.Key{ID: "k", PKCS8: []byte{1}, Created: noon}, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	dump, _ := dumped(t, s)
	return dump
}

// The disk was full, the copy broke off, a bit turned over: nothing of such a file is restored, wherever it happened.
func TestDamagedDumpIsRefused(t *testing.T) {
	dump := small(t)
	s, whole := openSQLite(t), strings.Join(linesOf(t, dump), "\n")+"\n"
	refused := func(what string, at int, damage []byte) {
		t.Helper()
		if _, err := CheckDump(bytes.NewReader(damage)); !errors.Is(err, ErrDamagedDump) && !errors.Is(err, ErrNewerDump) {
			t.Errorf("%s at %d: check: got error %v", what, at, err)
		}
		if at%97 == 0 {
			if _, err := s.Restore(t.Context(), bytes.NewReader(damage)); !errors.Is(err, ErrDamagedDump) && !errors.Is(err, ErrNewerDump) || errors.Is(err, authcore.ErrUnavailable) {
				t.Errorf("%s at %d: restore: got error %v", what, at, err)
			}
		}
	}
	for n := range dump {
		refused("cut off", n, dump[:n])
	}
	for n := range dump {
		if 4 <= n && n < 10 {
			continue // gzip's own time, flags and system, which say nothing
		}
		damage := slices.Clone(dump)
		damage[n] ^= 1 << (n % 8)
		if zip, err := gzip.NewReader(bytes.NewReader(damage)); err == nil {
			if same, err := io.ReadAll(zip); err == nil && string(same) == whole {
				continue // a bit that fills the last byte up
			}
		}
		refused("a bit turned over", n, damage)
	}
	lines := linesOf(t, dump)
	for n := range lines {
		refused("a line is missing", n, dumpOf(t, slices.Delete(slices.Clone(lines), n, n+1)))
		refused("cut off after a line", n, dumpOf(t, lines[:n+1][:min(n+1, len(lines)-1)]))
		refused("a line is there twice", n, dumpOf(t, slices.Insert(slices.Clone(lines), n, lines[n])))
	}
	refused("a row is another one", 0, zipped(t, strings.Replace(whole, `["alice","alice"`, `["alice","malice"`, 1)))
	refused("a line behind it", 0, zipped(t, whole+lines[0]+"\n"))
	refused("a line end behind it", 0, zipped(t, whole+"\n"))
	refused("no line end", 0, zipped(t, whole[:len(whole)-1]))
	refused("more behind it", 0, append(slices.Clone(dump), 'x'))
	refused("another one behind it", 0, append(slices.Clone(dump), dump...))
	wantEmpty(t, s)
	if _, err := s.Restore(t.Context(), bytes.NewReader(dump)); err != nil {
		t.Fatal(err)
	}
}

// A file that somebody has made up, with a good checksum, is a clear error at worst.
func TestHostileDumpIsRefused(t *testing.T) {
	lines := linesOf(t, small(t))
	user := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, `["alice"`) })
	replace := func(n int, old, by string) []string {
		t.Helper()
		if !strings.Contains(lines[n], old) {
			t.Fatalf("no %q in %s", old, lines[n])
		}
		changed := slices.Clone(lines)
		changed[n] = strings.Replace(changed[n], old, by, 1)
		return changed
	}
	more := func(n int, added ...string) []string { // with the counts made right
		changed := slices.Insert(slices.Clone(lines), n+1, added...)
		last := len(changed) - 1
		changed[last] = strings.Replace(changed[last], `"users":1`, fmt.Sprintf(`"users":%d`, 1+len(added)), 1)
		return changed
	}
	other := strings.ReplaceAll(lines[user], "alice", "bob")
	short := func(bytes int) []string {
		zeros := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
		outbox := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, `{"table":"outbox"`) })
		changed := slices.Insert(slices.Clone(lines), outbox, `["`+zeros(bytes)+`","reset","alice",null,0,0]`)
		last := len(changed) - 1
		changed[last] = strings.Replace(changed[last], `{"rows":{`, `{"rows":{"confirmations":1,`, 1)
		return changed
	}
	if _, err := CheckDump(bytes.NewReader(dumpOf(t, short(32)))); err != nil {
		t.Fatal(err)
	}
	stores := map[string]*Store{}
	for kind, open := range kindsOfStores {
		stores[kind] = open(t)
	}
	for name, c := range map[string]struct {
		lines []string
		want  error
	}{
		"nothing":                      {[]string{""}, ErrDamagedDump},
		"no lines":                     {[]string{`{}`}, ErrDamagedDump},
		"of another program":           {replace(0, "authgate_backup", "other_backup"), ErrDamagedDump},
		"a newer format":               {replace(0, `_backup":1`, `_backup":2`), ErrNewerDump},
		"a newer schema":               {replace(0, `"schema":`, `"schema":9`), ErrNewerDump},
		"another table":                {replace(1, `"users"`, `"usernames"`), ErrDamagedDump},
		"a column that is a statement": {replace(1, `"name"`, `"name) VALUES (1); DROP TABLE users; --"`), ErrDamagedDump},
		"a column too few":             {replace(1, `,"email"`, ``), ErrDamagedDump},
		"a column too many":            {replace(1, `"email"`, `"email","more"`), ErrDamagedDump},
		"columns in another order":     {replace(1, `"name","email"`, `"email","name"`), ErrDamagedDump},
		"a value too few":              {replace(user, `"alice",`, ``), ErrDamagedDump},
		"a value too many":             {replace(user, `["alice"`, `["alice","alice"`), ErrDamagedDump},
		"a number as text":             {replace(user, `,0,`, `,"0",`), ErrDamagedDump},
		"a fraction":                   {replace(user, `,0,`, `,0.5,`), ErrDamagedDump},
		"a number too large":           {replace(user, `,0,`, `,9223372036854775808,`), ErrDamagedDump},
		"a number written otherwise":   {replace(user, `,0,`, `,-0,`), ErrDamagedDump},
		"a space":                      {replace(user, `,0,`, `, 0,`), ErrDamagedDump},
		"NULL":                         {replace(user, `"alice"`, `null`), ErrDamagedDump},
		"an object":                    {replace(user, `"alice"`, `{}`), ErrDamagedDump},
		"NUL":                          {replace(user, `"alice"`, `"alice\u0000"`), ErrDamagedDump},
		"half a character":             {replace(user, `"alice"`, `"alice\ud800"`), ErrDamagedDump},
		"roles that are no list":       {replace(user, `"null"`, `"{}"`), ErrDamagedDump},
		"an array in an array":         {replace(user, `"alice"`, strings.Repeat("[", 20000)), ErrDamagedDump},
		"a line beyond all size":       {more(user, `["`+strings.Repeat("x", maxLine)), ErrDamagedDump},
		"a hash too short":             {short(31), ErrDamagedDump},
		"a user twice":                 {more(user, lines[user]), ErrDamagedDump},
		"a count too small":            {slices.Insert(slices.Clone(lines), user+1, other), ErrDamagedDump},
		"a credential of nobody":       {replace(slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, `["c"`) }), `"alice"`, `"bob"`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, s := range stores {
				_, err := s.Restore(t.Context(), bytes.NewReader(dumpOf(t, c.lines)))
				if err == nil || c.want != nil && (!errors.Is(err, c.want) || errors.Is(err, authcore.ErrUnavailable)) {
					t.Errorf("%s: got error %v", kind, err)
				}
				wantEmpty(t, s)
			}
		})
	}
	// And the means of this test do make good dumps.
	for kind, s := range stores {
		if _, err := s.Restore(t.Context(), bytes.NewReader(dumpOf(t, more(user, other)))); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A megabyte that becomes a gigabyte is not unpacked.
func TestDumpThatUnpacksWithoutEnd(t *testing.T) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	part := make([]byte, 1<<20)
	for range 64 {
		if _, err := zip.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	read := 0
	_, err := readLines(readerFunc(func(b []byte) (int, error) { read += len(b); return len(b), nil }), nowhere{})
	if !errors.Is(err, ErrDamagedDump) || read > 2*maxLine {
		t.Fatalf("read %d bytes: %v", read, err)
	}
	if _, err := CheckDump(&out); !errors.Is(err, ErrDamagedDump) {
		t.Fatal(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// While a backup is restored an instance starts and makes a signing key: there would be two lines of keys.
func TestRestoreKeepsOthersOut(t *testing.T) {
	dump := small(t)
	for name, open := range kindsOfStores {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			add := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				_, err := s.db.ExecContext(ctx, `INSERT INTO signing_keys (position, id, pkcs8, created) VALUES (9, 'other', 'x', 0)`)
				return err
			}
			if name == "sqlite" { // another connection, as another process has
				s.db.SetMaxOpenConns(2)
			}
			tried := false
			in := io.MultiReader(bytes.NewReader(dump[:1]), readerFunc(func([]byte) (int, error) {
				tried = true
				if add() == nil {
					t.Error("a key was stored meanwhile")
				}
				return 0, io.EOF
			}), bytes.NewReader(dump[1:]))
			if _, err := s.Restore(t.Context(), in); err != nil || !tried {
				t.Fatal(err)
			}
		})
	}
}

// The newer release may have added what this one would leave out.
func TestDumpRefusesANewerSchema(t *testing.T) {
	s := openSQLite(t)
	mustExec(t, s, `INSERT INTO migrations (version_id, is_applied) VALUES (99, 1)`)
	var out bytes.Buffer
	if _, err := s.Dump(t.Context(), &out, noon); !errors.Is(err, ErrNewerSchema) || errors.Is(err, authcore.ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := CheckDump(&out); !errors.Is(err, ErrDamagedDump) {
		t.Fatal(err)
	}
}

// The reader of a dump goes away, or the disk is full.
func TestDumpTellsWhatItCouldNotWrite(t *testing.T) {
	s := openSQLite(t)
	fill(t, s)
	full := errors.New("disk full")
	if _, err := s.Dump(t.Context(), writerFunc(func([]byte) (int, error) { return 0, full }), noon); !errors.Is(err, full) {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Dump(over, io.Discard, noon); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// What the database did not keep as it was given, it tells: here by a trigger, in life by a bug.
func TestRestoreReadsBackWhatItStored(t *testing.T) {
	s := openSQLite(t)
	mustExec(t, s, `CREATE TRIGGER spoils AFTER INSERT ON users BEGIN UPDATE users SET name = name || '!' WHERE id = new.id; END`)
	if _, err := s.Restore(t.Context(), bytes.NewReader(small(t))); err == nil || !strings.Contains(err.Error(), "users") {
		t.Fatalf("got error %v", err)
	}
	wantEmpty(t, s)
}

// Backups are kept for years: those of the first release that could make them are restored by every later one.
func TestOldDumpIsRestored(t *testing.T) {
	old, err := os.ReadFile(filepath.Join("testdata", "schema2.backup"))
	if err != nil {
		t.Fatal(err)
	}
	s := openSQLite(t)
	if _, err := s.Restore(t.Context(), bytes.NewReader(old)); err != nil {
		t.Fatal(err)
	}
	filled := openSQLite(t)
	fill(t, filled)
	sameAnswers(t, filled, s)
}

// Whatever is taken for a dump is written again as the very same rows; nothing else makes it stop.
func FuzzReadDump(f *testing.F) {
	old, err := os.ReadFile(filepath.Join("testdata", "schema2.backup"))
	if err != nil {
		f.Fatal(err)
	}
	lines := linesOf(f, old)
	f.Add(strings.Join(lines, "\n"))
	var small []string // a row of each table
	for i, line := range lines {
		if line[0] != '[' || lines[i-1][0] != '[' {
			small = append(small, line)
		}
	}
	small[len(small)-1] = `{"rows":{"users":1,"usernames":1,"credentials":1,"sessions":1,"signing_keys":1,"confirmations":1,"outbox":1}}`
	f.Add(strings.Join(small, "\n"))
	if _, err := readLines(strings.NewReader(signed(small)), nowhere{}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = signed(strings.Split(text, "\n"))
		got := &rewriting{t: t}
		c, err := readLines(strings.NewReader(text), got)
		if err != nil {
			if !errors.Is(err, ErrDamagedDump) && !errors.Is(err, ErrNewerDump) {
				t.Fatal(err)
			}
			return
		}
		rows := int64(0)
		for _, n := range c.Rows {
			rows += n
		}
		if rows != got.rows {
			t.Fatalf("%d rows are %d", got.rows, rows)
		}
		for line := range strings.Lines(text) {
			if line[0] == '[' && !strings.Contains(got.text.String(), line) {
				t.Fatalf("%q is lost", line)
			}
		}
	})
}

type rewriting struct {
	t    *testing.T
	rows int64
	text strings.Builder
}

func (*rewriting) header(Contents) error { return nil }

func (r *rewriting) row(t table, _, size int, values []any) error {
	line := appendRow(nil, values)
	if len(line) != size || len(values) != len(t.columns) {
		r.t.Fatalf("%d bytes were %d", len(line), size)
	}
	r.rows++
	r.text.Write(line)
	return nil
}
