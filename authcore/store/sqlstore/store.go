// Package sqlstore keeps everything in a SQL database: the statements, migrations and retries that the stores for
// particular databases have in common. Those open the database, say how it differs in a Dialect, and hand it to New.
//
// What was acknowledged was committed, so it is as durable as the database was told to be. Each change is one transaction
// or one statement, unless Transact makes several one; where two race, the database decides. A statement that loses against another connection's lock is
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
	"github.com/pressly/goose/v3/lock"

	"github.com/caddy-authgate/authgate/authcore"
)

// Dialect is what one kind of database has different.
type Dialect struct {
	Name       database.Dialect   // for the bookkeeping of migrations
	Migrations fs.FS              // NNNNN_name.sql in the top folder, see SQLiteMigrations
	Migrating  lock.SessionLocker // lets one instance migrate at a time; nil where the database itself does
	Numbered   bool               // placeholders are $1, $2, …; else ?
	// LockRow ends a SELECT whose rows nobody may change before the transaction ends (" FOR UPDATE"); empty where
	// a transaction that writes is the only one.
	LockRow string
	// SkipLocked ends a SELECT of rows to be changed that passes over those which somebody else is changing; empty as above.
	SkipLocked string
	// Isolation is what Transact needs so that what it has read, or has not found, is so until its end; zero as above.
	Isolation sql.IsolationLevel
	// Ordered is run before a notice is written, so that notices get their ids in the order in which they are committed,
	// and Announce after it, to be heard when it is committed; empty where there is no need or no way.
	Ordered, Announce string
	// Again reports whether an error says that the statement did nothing because of others and may succeed if repeated.
	Again func(error) bool
	// Cut reports whether an error says that the connection is gone: then nobody knows whether a change was made, and what
	// only reads is tried again. Nil where there is no connection to lose.
	Cut func(error) bool

	// Clock is the statement that tells the database's time in microseconds since 1970; empty where it goes by the clock of
	// this machine.
	Clock string

	// Bytewise follows what is to be compared byte by byte (` COLLATE "C"`), and CountUsers answers about how many users there
	// are; empty where that is so anyhow, and where counting them is quick.
	Bytewise, CountUsers string

	keep string // within Transact LockRow, for what is read there; else empty
}

// Config is an open database. All fields but Reads are required.
type Config struct {
	DB      *sql.DB
	Reads   *sql.DB // for what only reads; default DB
	Dialect Dialect
	// Await begins to wait for what Announce announces; nil: Listen looks each half second.
	Await func(context.Context) (Waiter, error)
	// Timeout bounds every operation, and Transact as a whole; zero: only its context does.
	Timeout time.Duration
	Now     func() time.Time // default time.Now
}

// Waiter waits for notices to be announced.
type Waiter interface {
	// Wait answers nil when something was announced, or after a few seconds at most, so that one that got lost is made good;
	// an error where it is cut off.
	Wait(context.Context) error
	Close()
}

// Store keeps accounts, challenges and attempts. New makes one; it does not own the database, so it has no Close.
type Store struct {
	db, reads *sql.DB
	dialect   Dialect
	await     func(context.Context) (Waiter, error)
	timeout   time.Duration
	now       func() time.Time
	tx        *tx // in the store of a transaction
}

// New answers a store on a database that Migrate has brought up to date.
func New(cfg Config) *Store {
	s := &Store{db: cfg.DB, reads: cfg.Reads, dialect: cfg.Dialect, await: cfg.Await, timeout: cfg.Timeout, now: cfg.Now}
	if s.reads == nil {
		s.reads = s.db
	}
	if s.await == nil {
		s.await = look
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Stores answers the contracts that keep accounts.
func (s *Store) Stores() authcore.Stores {
	stores := authcore.Stores{
		Users: s, Credentials: s, Sessions: s, Confirmations: s, Outbox: s, Keys: s, Events: s,
		Directory: s, Invites: s, PersonalAccessTokens: s, Notices: s, Transactions: s, Health: s,
	}
	if s.dialect.Clock != "" {
		stores.Clock = s
	}
	return stores
}

// ChallengeStores answers the contracts that keep the short-lived.
func (s *Store) ChallengeStores() authcore.ChallengeStores {
	return authcore.ChallengeStores{Challenges: s, Attempts: s, Health: s}
}

// Ping implements authcore.Health. It looks for rows to write, of which there are none and to which it would do nothing, so
// that it needs all that a write needs but room on the disk: a server that is a standby since the failover, or a file that
// somebody else has locked, answers what only reads as ever, and nobody can sign in.
func (s *Store) Ping(ctx context.Context) error {
	return s.repeatable(ctx, s.db, "ping", func(ctx context.Context, r run) error {
		_, err := r.exec(ctx, `UPDATE signing_keys SET position = position WHERE position < 0`)
		return err
	})
}

// StoreTime implements authcore.Clock, where the dialect has a clock.
func (s *Store) StoreTime(ctx context.Context) (now time.Time, err error) {
	err = s.read(ctx, "tell the time", func(ctx context.Context, r run) error {
		var micros int64
		_, err := r.row(ctx, s.dialect.Clock, nil, &micros)
		now = time.UnixMicro(micros).UTC()
		return err
	})
	return now, err
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
	_ authcore.Users                = (*Store)(nil)
	_ authcore.Credentials          = (*Store)(nil)
	_ authcore.Sessions             = (*Store)(nil)
	_ authcore.Confirmations        = (*Store)(nil)
	_ authcore.Outbox               = (*Store)(nil)
	_ authcore.Keys                 = (*Store)(nil)
	_ authcore.Events               = (*Store)(nil)
	_ authcore.Directory            = (*Store)(nil)
	_ authcore.Invites              = (*Store)(nil)
	_ authcore.Notices              = (*Store)(nil)
	_ authcore.PersonalAccessTokens = (*Store)(nil)
	_ authcore.Transactions         = (*Store)(nil)
	_ authcore.Health               = (*Store)(nil)
	_ authcore.Challenges           = (*Store)(nil)
	_ authcore.AttemptCounter       = (*Store)(nil)
)
