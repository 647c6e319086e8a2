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

// The file was restored from a backup, or made by an operator, with the modes of everyday files.
func TestOthersLoseTheRightsTheyHad(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "test.db")
	open(t, path).Close()
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		f, err := os.OpenFile(name, os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path)
	user(t, s.Stores().Users, "alice")
	for name, mode := range files(t, folder) {
		if mode != 0o600 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}
}
