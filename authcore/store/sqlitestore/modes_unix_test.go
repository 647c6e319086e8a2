//go:build unix

package sqlitestore_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Another user of the machine reads the signing keys out of the file, or out of the log beside it.
func TestOthersCannotReadTheFile(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	folder := filepath.Join(t.TempDir(), "new", "folder")
	s := open(t, filepath.Join(folder, "test.db"))
	user(t, s.Stores().Users, "alice")
	got := files(t, folder)
	for _, name := range []string{"test.db", "test.db-wal", "test.db-shm"} {
		if got[name] != 0o600 {
			t.Errorf("%s has mode %v", name, got[name])
		}
	}
	for _, above := range []string{folder, filepath.Dir(folder)} {
		if info, err := os.Stat(above); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, %v", above, info.Mode(), err)
		}
	}
}

// The files were restored from a backup of a running instance, or made by an operator, with the modes of everyday files.
func TestOthersLoseTheRightsTheyHad(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	running := open(t, filepath.Join(from, "test.db"))
	user(t, running.Stores().Users, "alice")
	for name := range files(t, from) {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, filepath.Join(to, "test.db"))
	if _, err := s.Stores().Users.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	user(t, s.Stores().Users, "bob")
	got := files(t, to)
	for name, mode := range got {
		if mode != 0o600 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}
	if len(got) != 3 {
		t.Fatalf("got files %v", got)
	}
}
