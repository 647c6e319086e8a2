// Package sqlstore keeps everything in a SQL database: the statements, migrations and retries that the stores for
// particular databases have in common. Those open the database, say how it differs in a Dialect, and hand it to New.
//
// What was acknowledged was committed, so it is as durable as the database was told to be. Each change is one transaction
// or one statement; where two race, the database decides. A statement that loses against another connection's lock is
// tried again, three times at most and within the deadline of its context. All that the database itself reports is
// wrapped in authcore.ErrUnavailable.
//
// It does not bound how many challenges there are: they are on disk, and gone once DeleteExpiredChallenges has run, which
// also forgets the attempts whose window ended.
package sqlstore

import (
	"context"
	"database/sql"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"

	"github.com/caddy-authgate/authgate/authcore"
)

// Dialect is what one kind of database has different.
type Dialect struct {
	Name       database.Dialect // for the bookkeeping of migrations
	Migrations fs.FS            // NNNNN_name.sql in the top folder, see SQLiteMigrations
	Numbered   bool             // placeholders are $1, $2, …; else ?
	// LockRow ends a SELECT whose rows nobody may change before the transaction ends (" FOR UPDATE"); empty where
	// a transaction that writes is the only one.
	LockRow string
	// Again reports whether an error says that the statement did nothing because of others and may succeed if repeated.
	Again func(error) bool
}

// Config is an open database. All fields but Reads are required.
type Config struct {
	DB      *sql.DB
	Reads   *sql.DB // for what only reads; default DB
	Dialect Dialect
}

// Store keeps accounts, challenges and attempts. New makes one; it does not own the database, so it has no Close.
type Store struct {
	db, reads *sql.DB
	dialect   Dialect
}

// New answers a store on a database that Migrate has brought up to date.
func New(cfg Config) *Store {
	s := &Store{db: cfg.DB, reads: cfg.Reads, dialect: cfg.Dialect}
	if s.reads == nil {
		s.reads = s.db
	}
	return s
}

// Stores answers the contracts that keep accounts.
func (s *Store) Stores() authcore.Stores {
	return authcore.Stores{Users: s, Credentials: s, Sessions: s, Keys: s, Health: s}
}

// ChallengeStores answers the contracts that keep the short-lived.
func (s *Store) ChallengeStores() authcore.ChallengeStores {
	return authcore.ChallengeStores{Challenges: s, Attempts: s, Health: s}
}

// Ping implements authcore.Health: it reads from a table, since a connection alone tells little.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "ping", func(r run) error {
		_, err := r.row(ctx, `SELECT position FROM signing_keys LIMIT 1`, nil, new(int64))
		return err
	})
}

// bind writes a statement with the placeholders of the dialect. No statement here has a question mark elsewhere.
func (d *Dialect) bind(statement string) string {
	if !d.Numbered {
		return statement
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(statement, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		statement = after
	}
}

// micros and instant convert times from and to the form in which they are stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

var (
	_ authcore.Users          = (*Store)(nil)
	_ authcore.Credentials    = (*Store)(nil)
	_ authcore.Sessions       = (*Store)(nil)
	_ authcore.Keys           = (*Store)(nil)
	_ authcore.Health         = (*Store)(nil)
	_ authcore.Challenges     = (*Store)(nil)
	_ authcore.AttemptCounter = (*Store)(nil)
)
