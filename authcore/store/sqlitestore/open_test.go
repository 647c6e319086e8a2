package sqlitestore_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
)

// user stores an account by this name.
func user(t testing.TB, s authcore.Users, name string) {
	t.Helper()
	if err := createUser(t.Context(), s, name); err != nil {
		t.Fatal(err)
	}
}

func createUser(ctx context.Context, s authcore.Users, name string) error {
	return s.CreateUser(ctx, authcore.User{ID: name, Username: name}, authcore.Credential{ID: name, UserID: name, Kind: authcore.Wallet, Key: name})
}

// files answers the names and modes of what is in a folder.
func files(t *testing.T, folder string) map[string]os.FileMode {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]os.FileMode{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		modes[e.Name()] = info.Mode()
	}
	return modes
}

// alter changes a database file behind the store's back.
func alter(t *testing.T, path, statement string) {
	t.Helper()
	db := raw(t, path)
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// raw opens a file beside the stores.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// While one instance after the other is replaced, the first of the new release has migrated and the others are still old:
// they work on, and may be started again.
func TestNewerSchemaThatOnlyAddsIsUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := open(t, path)
	user(t, s.Stores().Users, "alice")
	alter(t, path, `INSERT INTO migrations (version_id, is_applied) VALUES (9000, 1);
		ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';
		CREATE TABLE later (id TEXT NOT NULL PRIMARY KEY) STRICT`)
	user(t, s.Stores().Users, "bob")
	again := open(t, path)
	user(t, again.Stores().Users, "carol")
	if _, err := again.Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
}

// The program is taken back to an older release, whose statements would misread what the newer one has written.
func TestNewerSchemaThatChangesIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := open(t, path)
	user(t, s.Stores().Users, "alice")
	s.Close()
	alter(t, path, `INSERT INTO migrations (version_id, is_applied) VALUES (9000, 1); UPDATE compatibility SET usable_from = 8999`)
	_, err := sqlitestore.Open(t.Context(), path)
	if !errors.Is(err, sqlstore.ErrNewerSchema) || !strings.Contains(err.Error(), "8999") || !strings.Contains(err.Error(), path) {
		t.Fatalf("got error %v", err)
	}
	if errors.Is(err, authcore.ErrUnavailable) {
		t.Fatalf("%v: it will not go away by waiting", err)
	}
	// It was left as it was.
	alter(t, path, `DELETE FROM migrations WHERE version_id = 9000`)
	if _, err := open(t, path).Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
}

// The configuration names a file of another program: not one byte of it is ours to change.
func TestFilesOfOthersAreRefused(t *testing.T) {
	folder := t.TempDir()
	other := filepath.Join(folder, "other.db")
	alter(t, other, `CREATE TABLE users (name TEXT)`)
	text := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("These are notes, not a database.\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, text, folder} {
		before, _ := os.ReadFile(path)
		if s, err := sqlitestore.Open(t.Context(), path); err == nil {
			s.Close()
			t.Errorf("%s was opened", path)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("got error %v, which does not say which file", err)
		}
		after, _ := os.ReadFile(path)
		if string(before) != string(after) {
			t.Errorf("%s was changed", path)
		}
	}
}

func TestEmptyFileIsUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	user(t, open(t, path).Stores().Users, "alice")
}

func TestNamesWithSpecialCharacters(t *testing.T) {
	for _, name := range []string{"a b.db", "q?mode=memory&x=1.db", "h#ash.db", "100%25.db", "ü;'\".db"} {
		folder := t.TempDir()
		path := filepath.Join(folder, name)
		s := open(t, path)
		user(t, s.Stores().Users, "alice")
		if got := files(t, folder); got[name] != 0o600 || len(got) != 3 {
			t.Errorf("%s: got files %v", name, got)
		}
	}
}

func TestFailedOpenLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := sqlitestore.Open(over, filepath.Join(folder, "test.db"))
	if !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got error %v", err)
	}
	if left := files(t, folder); len(left) != 0 {
		t.Fatalf("left %v", left)
	}
}

func TestFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlitestore.Open(t.Context(), filepath.Join(file, "test.db"))
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "not a directory") {
		t.Fatalf("got error %v", err)
	}
}

// Many instances start at once where there is no file yet, or one in which there is nothing yet.
func TestManyOpenANewFileAtOnce(t *testing.T) {
	for name, before := range map[string]func(path string) error{
		"no file":       func(string) error { return nil },
		"an empty file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "test.db")
			if err := before(path); err != nil {
				t.Fatal(err)
			}
			openAtOnce(t, path)
			if left := files(t, folder); len(left) != 1 {
				t.Fatalf("left %v", left)
			}
		})
	}
}

// openAtOnce opens a file several times at once and demands that all see what each has written.
func openAtOnce(t *testing.T, path string) {
	t.Helper()
	var all sync.WaitGroup
	stores := make([]*sqlitestore.Store, 6)
	for i := range stores {
		all.Go(func() {
			s, err := sqlitestore.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
			if err := createUser(t.Context(), s.Stores().Users, string(rune('a'+i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, s := range stores {
		for i := range stores {
			if s == nil {
				continue
			}
			if _, err := s.Stores().Users.User(t.Context(), string(rune('a'+i))); err != nil {
				t.Error(err)
			}
		}
	}
	for _, s := range stores {
		if s != nil {
			s.Close()
		}
	}
}

func TestCloseLeavesAllInTheFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "test.db")
	s := open(t, path)
	user(t, s.Stores().Users, "alice")
	if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil { // so that there is a connection that reads
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := files(t, folder); len(left) != 1 {
		t.Fatalf("left %v", left)
	}
	if _, err := open(t, path).Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
}
