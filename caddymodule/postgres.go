package caddymodule

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
)

// PostgresStore keeps accounts in a PostgreSQL database, for any number of instances. Placeholders such as
// {env.PGPASSWORD} and {file./run/secrets/postgres} are replaced when the configuration is loaded; secrets are best written
// so, since they stay out of the configuration.
type PostgresStore struct {
	// The database: postgres://user:password@host:5432/database?sslmode=verify-full, or key=value words, as libpq takes
	// them. What a placeholder stands for is taken as it is where it is a name or password, before the @ or after a =; one that
	// is all there is stands for the whole. Required.
	DSN string `json:"dsn,omitempty"`
	// How many connections this instance opens at most, beside one for notices. Default: 16.
	MaxOpen int `json:"max_open,omitempty"`
	// How many of them stay open unused. Default: all.
	MaxIdle int `json:"max_idle,omitempty"`
	// How long an unused connection stays open. Default: 5m.
	IdleFor caddy.Duration `json:"idle_for,omitempty"`
	// How long a connection is used before it is replaced. Default: 30m.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`
	// How long any operation may take. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	config postgresstore.Config
	name   string
	access string
}

// CaddyModule names the module.
func (*PostgresStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate.stores.postgres", New: func() caddy.Module { return new(PostgresStore) }}
}

// UnmarshalCaddyfile reads what follows "store":
//
//	postgres <dsn> {
//		max_open <connections>
//		max_idle <connections>
//		idle_for <duration>
//		lifetime <duration>
//		timeout  <duration>
//	}
func (s *PostgresStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	at := here(d)
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Err("store postgres takes one DSN; write for example: store postgres postgres://authgate:{env.PGPASSWORD}@db.example.com/authgate?sslmode=verify-full")
	}
	s.DSN = args[0]
	err := parseBlock(d, "store postgres", []option{
		countOption("max_open <connections>", &s.MaxOpen),
		countOption("max_idle <connections>", &s.MaxIdle),
		durationOption("idle_for", &s.IdleFor),
		durationOption("lifetime", &s.Lifetime),
		durationOption("timeout", &s.Timeout),
	})
	if err != nil || strings.Contains(s.DSN, "{") {
		return err // what a placeholder stands for is known only later, and then checked
	}
	if err := s.written().Validate(); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

// written is the configuration as it is written.
func (s *PostgresStore) written() postgresstore.Config {
	return postgresstore.Config{
		DSN: s.DSN, MaxOpen: s.MaxOpen, MaxIdle: s.MaxIdle,
		IdleFor: time.Duration(s.IdleFor), Lifetime: time.Duration(s.Lifetime), Timeout: time.Duration(s.Timeout),
	}
}

// Provision replaces the placeholders. It connects to nothing.
func (s *PostgresStore) Provision(caddy.Context) error {
	c := s.written()
	var err error
	if c.DSN, err = expandDSN(s.DSN); err != nil {
		return fmt.Errorf("dsn: %w", err)
	}
	where, err := c.Where()
	if err != nil {
		return err
	}
	s.config, s.name, s.access = c, "postgres "+where, mark(fmt.Sprint(c))
	return nil
}

// expandDSN replaces the placeholders of a DSN.
func expandDSN(written string) (string, error) {
	if strings.HasPrefix(written, "{") || strings.Contains(written, "://") {
		return expandURL(written)
	}
	var out strings.Builder
	for rest := written; ; {
		text, placeholder, found := strings.Cut(rest, "{")
		out.WriteString(text)
		if !found {
			return out.String(), nil
		}
		name, after, _ := strings.Cut(placeholder, "}")
		value, err := expand("{" + name + "}")
		if err != nil {
			return "", err
		}
		// As libpq reads values: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE
		value = strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)
		if strings.HasSuffix(text, "=") {
			value = "'" + value + "'"
		}
		out.WriteString(value)
		rest = after
	}
}

// StoreName implements Store.
func (s *PostgresStore) StoreName() string { return s.name }

// StoreAccess implements Accessed.
func (s *PostgresStore) StoreAccess() string { return s.access }

// OpenStore implements Store.
func (s *PostgresStore) OpenStore(ctx context.Context) (OpenStore, error) {
	store, err := postgresstore.Open(ctx, s.config)
	if err != nil {
		return OpenStore{}, err
	}
	challenges := store.ChallengeStores()
	return OpenStore{Stores: store.Stores(), Challenges: &challenges, Backup: store, Close: store.Close}, nil
}

var (
	_ caddy.Provisioner     = (*PostgresStore)(nil)
	_ caddyfile.Unmarshaler = (*PostgresStore)(nil)
	_ Store                 = (*PostgresStore)(nil)
	_ Accessed              = (*PostgresStore)(nil)
)
