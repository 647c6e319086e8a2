// Package postgresstore keeps everything in a PostgreSQL database (12 or newer), for any number of instances on any number
// of machines.
//
// What was acknowledged was committed, so it is as durable as the server was told to be (synchronous_commit, and for a
// failover its replicas). Changes that race are decided by the server: challenges and confirmations are consumed by one
// statement each, what is checked before it is changed is locked, and Transact is serializable. What a serialization
// failure or a deadlock undid is tried again within the deadline; what may have happened is not: after a connection broke
// in the middle of a change the answer is authcore.ErrUnavailable, and only reads are tried on another connection.
//
// Nothing waits without end, neither for a server that does not answer nor for a lock nor for a free connection: see
// Config.Timeout. A server that comes back is used again at once.
//
// Notices are rows, so that none is lost, and announced by NOTIFY, so that they arrive at once.
//
// It will not read from replicas, and needs sessions of its own: a pooler in between (PgBouncer) has to pool sessions, not
// transactions.
package postgresstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/database"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
)

// Store is an open database.
type Store struct {
	*sqlstore.Store
	db    *sql.DB
	close context.CancelFunc
}

// Open connects to the database and brings its schema up to date. It answers sqlstore.ErrNewerSchema for one that a newer
// release has made unusable, authcore.ErrUnavailable where it cannot be used now, and any other error where the
// configuration or the database has to be changed first. No error tells a password.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	conn, err := cfg.parse()
	if err != nil {
		return nil, fmt.Errorf("postgresstore: %w", err)
	}
	s, err := open(ctx, cfg, conn)
	if err != nil {
		return nil, fmt.Errorf("postgresstore: open %s: %w", where(conn), err)
	}
	return s, nil
}

func open(ctx context.Context, cfg Config, conn *pgx.ConnConfig) (*Store, error) {
	if err := migrate(ctx, conn); err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*conn)
	db.SetMaxOpenConns(cfg.maxOpen())
	db.SetMaxIdleConns(cfg.maxIdle())
	db.SetConnMaxIdleTime(cfg.idleFor())
	db.SetConnMaxLifetime(cfg.lifetime())
	life, end := context.WithCancel(context.Background())
	store := sqlstore.New(sqlstore.Config{
		DB: db, Dialect: dialect(), Timeout: cfg.timeout(),
		Await: func(ctx context.Context) (sqlstore.Waiter, error) { return await(ctx, life, conn) },
	})
	return &Store{store, db, end}, nil
}

// Close ends all work on the database, waiting for what is under way, and what listens hears no more.
func (s *Store) Close() error {
	s.close()
	return s.db.Close()
}

// migrate looks whether the database is one to be used, and brings it up to date, on connections that may take their time.
func migrate(ctx context.Context, conn *pgx.ConnConfig) error {
	patient := conn.Copy()
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		patient.RuntimeParams[limit] = "0"
	}
	db := stdlib.OpenDB(*patient)
	err := suitable(ctx, db)
	if err == nil {
		err = sqlstore.Migrate(ctx, db, dialect())
	}
	return errors.Join(err, db.Close())
}

// oldest is the oldest version that has all that is used here.
const oldest = 120000

func suitable(ctx context.Context, db *sql.DB) error {
	var version int
	var encoding string
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding')`).Scan(&version, &encoding)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", authcore.ErrUnavailable, err)
	case version < oldest:
		return fmt.Errorf("the server is PostgreSQL %d, which is too old: it must be %d or newer", version/10000, oldest/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the encoding of the database is %s; it must be UTF8, which is chosen when it is created", encoding)
	}
	return nil
}

func dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Name:       database.DialectPostgres,
		Migrations: sqlstore.PostgresMigrations(),
		Migrating:  migrating{},
		Numbered:   true,
		LockRow:    " FOR NO KEY UPDATE", // who refers to the row need not wait
		SkipLocked: " FOR UPDATE SKIP LOCKED",
		Isolation:  sql.LevelSerializable,
		Clock:      `SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)`,
		Bytewise:   ` COLLATE "C"`,
		CountUsers: `SELECT CAST(greatest(reltuples, 0) AS bigint) FROM pg_class WHERE oid = CAST('users' AS regclass)`,
		// Until the end of the transaction nobody else writes a notice. That costs nothing more: NOTIFY takes a lock of its
		// own for the commit.
		Ordered:  fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, noticeLock),
		Announce: `NOTIFY ` + channel,
		Again: func(err error) bool {
			var e *pgconn.PgError
			if !errors.As(err, &e) {
				return false
			}
			switch e.Code {
			case "40001", "40P01": // serialization_failure, deadlock_detected
				return true
			case "23505": // unique_violation: somebody has just stored what was not there when we looked
				return true
			}
			return false
		},
		Cut: func(err error) bool {
			var e *pgconn.PgError
			if errors.As(err, &e) {
				return e.Code == "57P01" || e.Code == "57P02" || e.Code == "57P03" // the server, or the connection, is being ended
			}
			return err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
		},
	}
}

const (
	// Advisory locks are for the database, so that gates in one database but different schemas wait for each other a little.
	migrationLock = 0x4147_6d69_6772 // "AGmigr"
	noticeLock    = 0x4147_6e6f_7465 // "AGnote"
)

// migrating lets one instance migrate at a time; the lock goes with the connection at the latest.
type migrating struct{}

// SessionLock implements lock.SessionLocker.
func (migrating) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock))
	return err
}

// SessionUnlock implements lock.SessionLocker.
func (migrating) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
	return err
}
