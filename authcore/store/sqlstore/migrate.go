package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/pressly/goose/v3"

	"github.com/caddy-authgate/authgate/authcore"
)

//go:embed migrations
var migrations embed.FS

// SQLiteMigrations answers the schema for SQLite.
func SQLiteMigrations() fs.FS { return schema("sqlite") }

// PostgresMigrations answers the schema for PostgreSQL.
func PostgresMigrations() fs.FS { return schema("postgres") }

func schema(name string) fs.FS {
	folder, err := fs.Sub(migrations, "migrations/"+name)
	if err != nil {
		panic(err) // only for a path that is not valid
	}
	return folder
}

// ErrNewerSchema says that a newer release has changed the database in a way that this one cannot work with.
var ErrNewerSchema = errors.New("the database belongs to a newer release")

// migrateRetries is how often migrating is tried again: of many instances that start together all but one fail at a step.
const migrateRetries = 10

// Migrate brings the database up to date. Each step happens wholly or not at all; instances that start together may all
// call it.
//
// Programs of two releases may work on one database side by side, as they do while one instance after the other is replaced:
// a step adds what the newer one needs and leaves what the older one uses. So a database that is ahead of this program is
// used as it is, unless it says that programs this old cannot (table compatibility): then Migrate answers ErrNewerSchema.
func Migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	err := migrate(ctx, db, d)
	// An instance that was faster makes this one fail; then the step is done when it looks again.
	for n := 1; n <= migrateRetries && err != nil && !errors.Is(err, ErrNewerSchema) && pause(ctx, n); n++ {
		err = migrate(ctx, db, d)
	}
	if err == nil {
		// Each with its own: what is done stays done, where this does not come to its end.
		return New(Config{DB: db, Dialect: d}).searchable(ctx, math.MaxInt)
	}
	if errors.Is(err, ErrNewerSchema) {
		return err
	}
	return fmt.Errorf("sqlstore: migrate: %w: %w", authcore.ErrUnavailable, err)
}

func migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	options := []goose.ProviderOption{
		goose.WithTableName("migrations"), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()),
	}
	if d.Migrating != nil {
		options = append(options, goose.WithSessionLocker(d.Migrating))
	}
	p, err := goose.NewProvider(d.Name, db, d.Migrations, options...)
	if err != nil {
		return err
	}
	current, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current == newest {
		return nil
	} else if current < newest {
		_, err = p.Up(ctx)
		return err
	}
	var from int64
	if found, err := (run{db, &d}).row(ctx, `SELECT max(usable_from) FROM compatibility`, nil, &from); err != nil {
		return err
	} else if !found || from > newest {
		return fmt.Errorf("sqlstore: migrate: %w: its schema is at version %d, for programs that know version %d; this one knows %d",
			ErrNewerSchema, current, from, newest)
	}
	return nil
}
