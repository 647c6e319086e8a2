package postgresstore

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Config says where the database is and what this instance may use of it. All fields but DSN have defaults.
type Config struct {
	// DSN of the database, as libpq takes it: postgres://user:password@host:5432/database?sslmode=verify-full, or key=value
	// words. Several hosts may be named; the one that can be written to is used. What it does not say is taken from PGHOST,
	// PGPASSWORD and so on, and ~/.pgpass. A host that is not this machine needs an sslmode, and neither allow nor prefer,
	// libpq's default.
	DSN string
	// MaxOpen is how many connections this instance opens at most, beside one for notices; default 16. All instances
	// together must stay below max_connections of the server.
	MaxOpen int
	// MaxIdle is how many of them stay open unused; default: all.
	MaxIdle int
	// IdleFor is how long a connection stays open unused; default 5 minutes.
	IdleFor time.Duration
	// Lifetime of a connection, after which it is replaced, so that instances find a new primary and spread over poolers;
	// default 30 minutes.
	Lifetime time.Duration
	// Timeout bounds every operation, waiting for a connection and trying again included; default 5 seconds. Connecting may
	// take 3 seconds of it, waiting for a lock 2, unless the DSN says otherwise (connect_timeout, lock_timeout).
	Timeout time.Duration
}

func (c Config) maxOpen() int            { return positive(c.MaxOpen, 16) }
func (c Config) maxIdle() int            { return min(positive(c.MaxIdle, c.maxOpen()), c.maxOpen()) }
func (c Config) idleFor() time.Duration  { return positive(c.IdleFor, 5*time.Minute) }
func (c Config) lifetime() time.Duration { return positive(c.Lifetime, 30*time.Minute) }
func (c Config) timeout() time.Duration  { return positive(c.Timeout, 5*time.Second) }

func positive[N ~int | ~int64](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

const (
	connectTimeout = 3 * time.Second
	lockTimeout    = 2 * time.Second
)

// Validate says what is wrong with the configuration, without a word of the DSN, which has a password in it. It looks for
// no server.
func (c Config) Validate() error {
	_, err := c.parse()
	if err != nil {
		return fmt.Errorf("postgresstore: %w", err)
	}
	return nil
}

// Where tells which database it is, as user@host:port/database: the same for every instance, and without a password.
func (c Config) Where() (string, error) {
	conn, err := c.parse()
	if err != nil {
		return "", fmt.Errorf("postgresstore: %w", err)
	}
	return where(conn), nil
}

func where(conn *pgx.ConnConfig) string {
	hosts := []string{address(conn.Host, conn.Port)}
	for _, f := range conn.Fallbacks {
		// The same host comes again where it is first tried with TLS and then without.
		if next := address(f.Host, f.Port); next != hosts[len(hosts)-1] {
			hosts = append(hosts, next)
		}
	}
	name := conn.User + "@" + strings.Join(hosts, ",") + "/" + conn.Database
	if path := conn.RuntimeParams["search_path"]; path != "" {
		name += " " + path
	}
	return name
}

func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func (c Config) parse() (*pgx.ConnConfig, error) {
	if c.DSN == "" {
		return nil, errors.New("dsn: missing; it is as in postgres://user:password@host:5432/database?sslmode=verify-full")
	}
	conn, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		// What the error quotes is hidden by guessing where the password is, which is not enough.
		return nil, fmt.Errorf("dsn: cannot be understood%s; it is as in postgres://user:password@host:5432/database?sslmode=verify-full", tlsReason(err))
	}
	if host := halfOpen(conn); host != "" {
		return nil, fmt.Errorf("dsn: TLS to %s could be switched off by whoever is in between; write sslmode=verify-full, or sslmode=disable where the network is trusted", host)
	}
	conn.ConnectTimeout = cmp.Or(conn.ConnectTimeout, connectTimeout)
	if conn.ValidateConnect == nil {
		// A replica would take connections and refuse every change.
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	for name, value := range map[string]string{
		"application_name":  "authgate",
		"statement_timeout": millis(c.timeout()),
		"lock_timeout":      millis(min(lockTimeout, c.timeout())),
		// An instance that is paused in a transaction holds its locks no longer than this.
		"idle_in_transaction_session_timeout": millis(2 * c.timeout()),
	} {
		if _, said := conn.RuntimeParams[name]; !said {
			conn.RuntimeParams[name] = value
		}
	}
	return conn, nil
}

// halfOpen answers a host that is tried with TLS and without (sslmode prefer, which is the default, or allow) and is not
// this machine. The threat: who is in between refuses TLS, and is told password and data in the clear.
func halfOpen(conn *pgx.ConnConfig) string {
	type try struct {
		host string
		port uint16
	}
	plain := map[try]bool{{conn.Host, conn.Port}: conn.TLSConfig == nil}
	for _, f := range conn.Fallbacks {
		was, tried := plain[try{f.Host, f.Port}]
		if is := f.TLSConfig == nil; tried && was != is && !local(f.Host) {
			return f.Host
		}
		plain[try{f.Host, f.Port}] = f.TLSConfig == nil
	}
	return ""
}

// local reports whether a host is this machine: a folder with a socket, or a loopback address.
func local(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || err == nil && addr.IsLoopback()
}

// tlsReason answers what is wrong with TLS, where it is that: words of the parser, or the name of a file.
func tlsReason(err error) string {
	var parsing *pgconn.ParseConfigError
	if errors.As(err, &parsing) && strings.Contains(err.Error(), "failed to configure TLS") && parsing.Unwrap() != nil {
		return ": TLS: " + parsing.Unwrap().Error()
	}
	return ""
}

func millis(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
