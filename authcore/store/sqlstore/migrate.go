package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/caddy-authgate/authgate/authcore"
)

//go:embed migrations
var migrations embed.FS

// SQLiteMigrations answers the schema for SQLite.
func SQLiteMigrations() fs.FS {
	folder, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		panic(err) // only for a path that is not valid
	}
	return folder
}

// ErrNewerSchema says that a newer release has changed the database. It is not used: this one does not know what the
// change means.
var ErrNewerSchema = errors.New("the database belongs to a newer release")

// Migrate brings the database up to date. Each step happens wholly or not at all; instances that start together may all
// call it. It answers ErrNewerSchema where the database is ahead of this program.
func Migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	err := migrate(ctx, db, d)
	// An instance that was faster makes this one fail; then the step is done when it looks again.
	for n := 1; n <= retries && err != nil && !errors.Is(err, ErrNewerSchema) && pause(ctx, n); n++ {
		err = migrate(ctx, db, d)
	}
	if err == nil || errors.Is(err, ErrNewerSchema) {
		return err
	}
	return fmt.Errorf("sqlstore: migrate: %w: %w", authcore.ErrUnavailable, err)
}

func migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	p, err := goose.NewProvider(d.Name, db, d.Migrations,
		goose.WithTableName("migrations"), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	current, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > newest {
		return fmt.Errorf("sqlstore: migrate: %w: its schema is at version %d, this program knows %d", ErrNewerSchema, current, newest)
	}
	_, err = p.Up(ctx)
	return err
}
