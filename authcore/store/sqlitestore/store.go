// Package sqlitestore keeps everything in one SQLite file, for an instance or a few on one machine.
//
// What was acknowledged is on the disk (write-ahead log, synchronous=FULL): it outlives kill -9 and a loss of power.
// That goes for challenges too. With less, a challenge spent just before a loss of power could be unspent after it, and a
// signature that somebody has seen would be good once more.
//
// One connection writes, since SQLite knows one writer at a time and queueing here is fairer than colliding there; others
// read meanwhile. Several processes may share the file on a local disk, not on a network file system.
//
// The file holds private keys. It, and what SQLite puts beside it, can be read by its owner alone, whatever the umask.
package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pressly/goose/v3/database"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
)

// Store is an open file.
type Store struct {
	store         *sqlstore.Store
	writes, reads *sql.DB
}

// Stores answers the contracts that keep accounts.
func (s *Store) Stores() authcore.Stores { return s.store.Stores() }

// ChallengeStores answers the contracts that keep the short-lived.
func (s *Store) ChallengeStores() authcore.ChallengeStores { return s.store.ChallengeStores() }

// Close ends all work on the file. The last one to close it, of all processes, leaves the one file, with all that was in the
// write-ahead log.
func (s *Store) Close() error { return errors.Join(s.reads.Close(), s.writes.Close()) }

// lockWait is how long SQLite waits for another process's lock before the statement is tried anew, in milliseconds.
const lockWait = "500"

// timeout bounds an operation, waiting for the connection that writes included: whoever waits longer is better told so.
const timeout = 5 * time.Second

// connect prepares the connections to a file that exists; nothing is read yet.
func connect(path string) (*Store, error) {
	writes, err := sql.Open("sqlite", source(path, url.Values{
		"_txlock":       {"immediate"}, // a transaction that began by reading could lose its place to another writer's
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_pragma":       {"journal_size_limit(67108864)"}, // the log gives back what a busy hour took
	}))
	if err != nil {
		return nil, err
	}
	reads, err := sql.Open("sqlite", source(path, url.Values{"_query_only": {"1"}}))
	if err != nil {
		return nil, errors.Join(err, writes.Close())
	}
	readers := max(4, 2*runtime.NumCPU())
	writes.SetMaxOpenConns(1)
	reads.SetMaxOpenConns(readers)
	reads.SetMaxIdleConns(readers)
	store := sqlstore.New(sqlstore.Config{DB: writes, Reads: reads, Dialect: dialect(), Timeout: timeout})
	return &Store{store: store, writes: writes, reads: reads}, nil
}

func source(path string, params url.Values) string {
	params.Set("mode", "rw") // never create: a file made by SQLite would have the mode of the umask
	params.Set("_busy_timeout", lockWait)
	params.Set("_dqs", "0")
	params.Set("_defensive", "1")
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}).String()
}

func dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Name:       database.DialectSQLite3,
		Migrations: sqlstore.SQLiteMigrations(),
		Again: func(err error) bool {
			var e *sqlite.Error
			// The low byte is the primary code; what is above tells kinds of it apart.
			return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
		},
	}
}

// applicationID marks our files in the header, as SQLite provides for it: "AGdb".
const applicationID = 0x41476462

// prepare makes the file ours: it refuses another program's database, and migrates. It looks by a connection that only
// reads, since the one that writes changes the file as it connects.
func (s *Store) prepare(ctx context.Context) error {
	var id, tables int64
	err := s.reads.QueryRowContext(ctx, "SELECT a.application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id a").Scan(&id, &tables)
	if err != nil {
		return fmt.Errorf("%w: %w", authcore.ErrUnavailable, err)
	}
	if id != applicationID && (id != 0 || tables != 0) {
		return errors.New("it is the database of another program")
	}
	if id == 0 {
		if _, err := s.writes.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return fmt.Errorf("%w: %w", authcore.ErrUnavailable, err)
		}
	}
	return sqlstore.Migrate(ctx, s.writes, dialect())
}
