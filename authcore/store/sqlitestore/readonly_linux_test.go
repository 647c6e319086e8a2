package sqlitestore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

// asNobody runs f without the rights of root on files, which no mode of a folder would stop.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() == 0 {
		const nobody = 65534
		runtime.LockOSThread() // and never unlocked: the thread ends with the test
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := syscall.Setfsuid(0); err != nil {
				t.Fatal(err)
			}
		}()
	}
	f()
}

// reachable answers a folder that everybody may enter, unlike those of t.TempDir.
func reachable(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "sqlitestore")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o555); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestReadOnlyFolder(t *testing.T) {
	folder := reachable(t)
	for _, path := range []string{filepath.Join(folder, "test.db"), filepath.Join(folder, "below", "test.db")} {
		asNobody(t, func() {
			s, err := sqlitestore.Open(t.Context(), path)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got error %v", err)
			}
		})
	}
	if left := files(t, folder); len(left) != 0 {
		t.Fatalf("left %v", left)
	}
}

// The file is there but belongs to somebody else, who lets others read it: it cannot be made private.
func TestFileOfSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root has files that another user reads")
	}
	folder := reachable(t)
	path := filepath.Join(folder, "test.db")
	open(t, path).Close()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		s, err := sqlitestore.Open(t.Context(), path)
		if err == nil {
			s.Close()
			t.Fatal("opened")
		}
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "others can read it") {
			t.Fatalf("got error %v", err)
		}
	})
}
