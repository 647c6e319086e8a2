package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

// SQLiteStore keeps accounts in a SQLite file, the default.
type SQLiteStore struct {
	// The file; what is relative is in Caddy's data directory. Placeholders such as {env.AUTHGATE_DB} are replaced.
	// Default: authgate/authgate.db.
	File string `json:"file,omitempty"`

	path string // absolute
}

// CaddyModule names the module.
func (*SQLiteStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate.stores.sqlite", New: func() caddy.Module { return new(SQLiteStore) }}
}

// Provision finds out where the file is. It does not look for it.
func (s *SQLiteStore) Provision(caddy.Context) error {
	file, err := expand(s.File)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	if file == "" {
		file = filepath.Join("authgate", "authgate.db")
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(caddy.AppDataDir(), file)
	}
	s.path, err = filepath.Abs(file)
	return err
}

// UnmarshalCaddyfile reads what follows "store":
//
//	sqlite [<file>]
func (s *SQLiteStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	args := d.RemainingArgs()
	if len(args) > 1 || len(args) == 1 && args[0] == "" {
		return d.Errf("store sqlite has one file at most; write: store sqlite [<file>]")
	}
	if len(args) == 1 {
		s.File = args[0]
	}
	return noBlock(d, "store sqlite")
}

// StoreName implements Store.
func (s *SQLiteStore) StoreName() string { return "sqlite " + s.path }

// OpenStore implements Store.
func (s *SQLiteStore) OpenStore(ctx context.Context) (OpenStore, error) {
	store, err := sqlitestore.Open(ctx, s.path)
	if err != nil {
		return OpenStore{}, err
	}
	challenges := store.ChallengeStores()
	return OpenStore{Stores: store.Stores(), Challenges: &challenges, Backup: store, Close: store.Close}, nil
}

// StoreExists implements Existing.
func (s *SQLiteStore) StoreExists() (bool, error) {
	_, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// MemoryChallengeStore keeps challenges and attempts in this process, the default. They outlive reloads, not restarts.
type MemoryChallengeStore struct{}

// CaddyModule names the module.
func (*MemoryChallengeStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate.challenge_stores.memory", New: func() caddy.Module { return new(MemoryChallengeStore) }}
}

// UnmarshalCaddyfile reads what follows "challenge_store":
//
//	memory
func (*MemoryChallengeStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return noOptions(d, "challenge_store memory")
}

// StoreName implements ChallengeStore.
func (*MemoryChallengeStore) StoreName() string { return "memory" }

// OpenChallengeStore implements ChallengeStore.
func (*MemoryChallengeStore) OpenChallengeStore(context.Context, OpenStore) (OpenChallengeStore, error) {
	stores := memstore.NewChallengeStores(memstore.ChallengesConfig{}, memstore.AttemptsConfig{})
	return OpenChallengeStore{ChallengeStores: stores}, nil
}

// SQLChallengeStore keeps challenges and attempts in the store of accounts, for several instances that share it.
type SQLChallengeStore struct{}

// CaddyModule names the module.
func (*SQLChallengeStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate.challenge_stores.sql", New: func() caddy.Module { return new(SQLChallengeStore) }}
}

// UnmarshalCaddyfile reads what follows "challenge_store":
//
//	sql
func (*SQLChallengeStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return noOptions(d, "challenge_store sql")
}

// StoreName implements ChallengeStore: what it keeps is in the store of accounts.
func (*SQLChallengeStore) StoreName() string { return "" }

// OpenChallengeStore implements ChallengeStore.
func (*SQLChallengeStore) OpenChallengeStore(_ context.Context, accounts OpenStore) (OpenChallengeStore, error) {
	if accounts.Challenges == nil {
		return OpenChallengeStore{}, errors.New("the store of accounts cannot keep challenges; choose another challenge_store")
	}
	return OpenChallengeStore{ChallengeStores: *accounts.Challenges}, nil
}

// expand replaces the placeholders of what is known at provisioning, {env.*} and {file.*}. One that is unknown or empty
// is an error that says what to do: a secret that is missing must not become an empty one.
func expand(s string) (string, error) {
	replacer := caddy.NewReplacer()
	expanded, err := replacer.ReplaceOrErr(s, true, true)
	if err == nil {
		return expanded, nil
	}
	for _, placeholder := range placeholders.FindAllString(s, -1) {
		key := placeholder[1 : len(placeholder)-1]
		if value, known := replacer.GetString(key); known && value != "" {
			continue
		}
		if name, is := strings.CutPrefix(key, "env."); is {
			return "", fmt.Errorf("%s is empty: the environment in which Caddy runs has no %s; set it, or write {file./<path>} where a file has the text", placeholder, name)
		}
		if name, is := strings.CutPrefix(key, "file."); is {
			cause := "there is nothing in the file"
			if _, err := os.ReadFile(name); err != nil {
				cause = err.Error()
			}
			return "", fmt.Errorf("%s is empty: %s; write the text into that file, for the user who runs Caddy to read", placeholder, cause)
		}
		return "", fmt.Errorf("%s is not known here; write {env.<NAME>} or {file./<path>}", placeholder)
	}
	return "", err
}

// placeholders finds them in a text.
var placeholders = regexp.MustCompile(`\{[^{}]+\}`)

func noOptions(d *caddyfile.Dispenser, what string) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("unexpected %q; write: %s", d.Val(), what)
	}
	return noBlock(d, what)
}

func noBlock(d *caddyfile.Dispenser, what string) error {
	if d.NextBlock(0) {
		return d.Errf("%s has no options; unexpected %q", what, d.Val())
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*SQLiteStore)(nil)
	_ caddyfile.Unmarshaler = (*SQLiteStore)(nil)
	_ Store                 = (*SQLiteStore)(nil)
	_ Existing              = (*SQLiteStore)(nil)
	_ caddyfile.Unmarshaler = (*MemoryChallengeStore)(nil)
	_ ChallengeStore        = (*MemoryChallengeStore)(nil)
	_ caddyfile.Unmarshaler = (*SQLChallengeStore)(nil)
	_ ChallengeStore        = (*SQLChallengeStore)(nil)
)
