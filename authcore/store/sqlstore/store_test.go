package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pressly/goose/v3/database"
	"modernc.org/sqlite"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest"
)

// recorder connects to a database and writes down which statements it is given.
type recorder struct {
	source string
	mu     *sync.Mutex
	seen   map[string]bool
}

func (r recorder) Driver() driver.Driver { return &sqlite.Driver{} }

func (r recorder) Connect(context.Context) (driver.Conn, error) {
	c, err := r.Driver().Open(r.source)
	return recorded{c.(conn), r}, err
}

type conn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
}

type recorded struct {
	conn
	to recorder
}

func (c recorded) note(statement string) {
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.seen[statement] = true
}

func (c recorded) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.note(query)
	return c.conn.ExecContext(ctx, query, args)
}

func (c recorded) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.note(query)
	return c.conn.QueryContext(ctx, query, args)
}

func testDialect() Dialect {
	return Dialect{Name: database.DialectSQLite3, Migrations: SQLiteMigrations(), Again: func(error) bool { return false }}
}

// The suite is run on a database that need not be durable, and then every statement it used is explained: none may read a
// whole table, which would be slow with a million users and nowhere else.
func TestStatements(t *testing.T) {
	rec := recorder{mu: &sync.Mutex{}, seen: map[string]bool{}}
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		r := rec
		r.source = filepath.Join(t.TempDir(), "test.db") + "?_txlock=immediate&_foreign_keys=1&_journal_mode=MEMORY&_synchronous=OFF"
		db := sql.OpenDB(r)
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { db.Close() })
		if err := Migrate(t.Context(), db, testDialect()); err != nil {
			t.Fatal(err)
		}
		s := New(Config{DB: db, Dialect: testDialect()})
		return storetest.Subject{Stores: s.Stores(), ChallengeStores: s.ChallengeStores()}
	})

	plans, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "plans.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer plans.Close()
	if err := Migrate(t.Context(), plans, testDialect()); err != nil {
		t.Fatal(err)
	}
	explained := 0
	for statement := range rec.seen {
		if !strings.Contains(statement, "?") || strings.Contains(statement, "migrations") {
			continue // the few that read all keys, and what migrating does
		}
		explained++
		n := strings.Count(statement, "?")
		if numbered := (&Dialect{Numbered: true}).bind(statement); strings.Contains(numbered, "?") ||
			!strings.Contains(numbered, fmt.Sprint("$", n)) || strings.Contains(numbered, fmt.Sprint("$", n+1)) {
			t.Errorf("with numbered placeholders: %s", numbered)
		}
		if scan := scans(t, plans, statement, n); scan != "" {
			t.Errorf("%s\n\t%s", statement, scan)
		}
	}
	if explained < 25 {
		t.Fatalf("only %d statements were explained", explained)
	}

	// Deleting a user looks for what refers to them, in every table that can.
	refers, err := plans.QueryContext(t.Context(), `SELECT 'SELECT 1 FROM ' || m.name || ' WHERE ' || f."from" || ' = ?'
		FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	defer refers.Close()
	tables := 0
	for ; refers.Next(); tables++ {
		var statement string
		if err := refers.Scan(&statement); err != nil {
			t.Fatal(err)
		}
		if scan := scans(t, plans, statement, 1); scan != "" {
			t.Errorf("%s\n\t%s", statement, scan)
		}
	}
	if tables != 6 {
		t.Fatalf("%d tables refer to users", tables)
	}
}

// sorted is what SQLite says of reading along an index that has nothing but what is asked for.
var sorted = regexp.MustCompile(`^SCAN (users|u) USING (COVERING )?INDEX users_(folded|created|disabled_folded|disabled_created|unsearchable)$`)

// scans answers the step of a statement's plan that reads a whole table or sorts, if there is one.
func scans(t *testing.T, db *sql.DB, statement string, args int) (step string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, make([]any, args)...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		if sorted.MatchString(detail) && strings.HasSuffix(statement, " LIMIT ?") {
			continue // a few from the beginning of a list, as it is sorted
		}
		if detail == "USE TEMP B-TREE FOR ORDER BY" && strings.Contains(statement, "FROM sessions WHERE user_id = ?") {
			continue // those of one user, which are bounded
		}
		if strings.HasSuffix(detail, "-ROW VALUES CLAUSE") {
			continue // the rows of an INSERT
		}
		if strings.HasPrefix(detail, "SCAN") || strings.Contains(detail, "TEMP B-TREE") {
			step = detail
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return step
}

var errBusy = errors.New("busy")

// fragile answers a store whose work is to fail with these errors, one after the other.
func fragile(errs ...error) (*Store, func() error, *int) {
	calls := 0
	s := New(Config{Dialect: Dialect{Again: func(err error) bool { return errors.Is(err, errBusy) }}})
	return s, func() error {
		calls++
		if calls <= len(errs) {
			return errs[calls-1]
		}
		return nil
	}, &calls
}

func TestTriesAgain(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		errs  []error
		calls int
		want  error
	}{
		{"at once", nil, 1, nil},
		{"busy once", []error{errBusy}, 2, nil},
		{"busy three times", []error{errBusy, errBusy, errBusy}, 4, nil},
		{"busy for too long", []error{errBusy, errBusy, errBusy, errBusy, errBusy}, 4, authcore.ErrUnavailable},
		{"broken", []error{broken}, 1, authcore.ErrUnavailable},
		{"busy, then broken", []error{errBusy, broken, errBusy}, 2, authcore.ErrUnavailable},
		{"decided", []error{verdict{authcore.ErrConflict}, errBusy}, 1, authcore.ErrConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f, calls := fragile(c.errs...)
			err := s.again(t.Context(), "test", f)
			if !errors.Is(err, c.want) || *calls != c.calls {
				t.Fatalf("got error %v after %d calls", err, *calls)
			}
		})
	}
}

// The request has a deadline: waiting beyond it helps nobody.
func TestTriesAgainOnlyWithinTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, calls := fragile(errBusy, errBusy, errBusy)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond) // less than any pause
		defer cancel()
		if err := s.again(ctx, "test", f); !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, errBusy) || *calls != 1 {
			t.Fatalf("got error %v after %d calls", err, *calls)
		}
	})
	over, cancel := context.WithCancel(t.Context())
	s, f, calls := fragile(errBusy)
	err := s.again(over, "test", func() error { cancel(); return f() })
	if !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, context.Canceled) || *calls != 1 {
		t.Fatalf("got error %v after %d calls", err, *calls)
	}
}

// What the database says is no verdict, even where it looks like one; and a verdict is not called unavailable.
func TestErrorsAreToldApart(t *testing.T) {
	s, f, _ := fragile(verdict{authcore.ErrUserNotFound}, sql.ErrNoRows)
	if err := s.again(t.Context(), "test", f); !errors.Is(err, authcore.ErrUserNotFound) || errors.Is(err, authcore.ErrUnavailable) {
		t.Fatalf("got error %v", err)
	}
	if err := s.again(t.Context(), "test", f); !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, sql.ErrNoRows) {
		t.Fatalf("got error %v", err)
	}
}

// torn is a database that answers a row and then fails to commit what it did.
type torn struct{}

func (torn) Connect(context.Context) (driver.Conn, error) { return torn{}, nil }
func (torn) Driver() driver.Driver                        { return nil }
func (torn) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (torn) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }
func (torn) Close() error                                 { return nil }

func (torn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return new(tornRows), nil
}

type tornRows struct{ rows int }

func (*tornRows) Columns() []string { return make([]string, 6) }
func (*tornRows) Close() error      { return nil }

func (r *tornRows) Next(into []driver.Value) error {
	if r.rows++; r.rows > 1 {
		return errors.New("disk I/O error")
	}
	for i := range into {
		into[i] = ""
	}
	into[5] = int64(1)
	return nil
}

// The disk fails while the deletion of a challenge is committed, after its row was answered: the challenge is still there,
// so it must not count.
func TestAnswerThatIsNotCommittedDoesNotCount(t *testing.T) {
	db := sql.OpenDB(torn{})
	defer db.Close()
	s := New(Config{DB: db, Dialect: testDialect()})
	c, err := s.ConsumeChallenge(t.Context(), [32]byte{}, authcore.Binding{}, time.Time{})
	if !errors.Is(err, authcore.ErrUnavailable) || !c.Expires.IsZero() {
		t.Fatalf("got %v, %v", c, err)
	}
}

// Databases that take only UTF-8 without NUL would refuse the sign-in of whoever sends such a header.
func TestClientTextIsRepaired(t *testing.T) {
	for in, want := range map[string]string{
		"Mozilla/5.0 é": "Mozilla/5.0 é",
		"":              "",
		"a\xff\xfeb":    "a\uFFFDb",
		"a\x00b":        "a\uFFFDb",
	} {
		if got := storable([]any{7, in}); got[0] != 7 || got[1] != want {
			t.Errorf("%q is stored as %q", in, got)
		}
	}
}

// A file was damaged, or written by something else: what cannot be read is not guessed.
func TestDamagedRowsAreUnavailable(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := Migrate(t.Context(), db, testDialect()); err != nil {
		t.Fatal(err)
	}
	s := New(Config{DB: db, Dialect: testDialect()})
	u := authcore.User{ID: "alice", Username: "alice"}
	if err := s.CreateUser(t.Context(), u, authcore.Credential{ID: "c", UserID: "alice"}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSession(t.Context(), authcore.Session{ID: "s", UserID: "alice"}); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{
		`UPDATE sessions SET secret_hash = x'00'`,
		`UPDATE sessions SET secret_hash = zeroblob(32), methods = '{'`,
		`UPDATE users SET roles = '{'`,
	} {
		if _, err := db.ExecContext(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
		_, err := s.Session(t.Context(), "s")
		if strings.HasPrefix(damage, "UPDATE users") {
			_, err = s.User(t.Context(), "alice")
		}
		if !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("%s: got error %v", damage, err)
		}
	}
}
