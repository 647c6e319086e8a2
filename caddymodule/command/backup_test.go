package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// whole is what the backups of these tests hold.
const whole = "everything, to the end"

var held = Holding{Time: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC), Schema: 2, Rows: map[string]int64{"users": 3, "credentials": 1}}

// shelf is stores without a database: each is named by its configuration.
type shelf struct {
	admin     string // address of the endpoint in all configurations
	dumpErr   error
	restore   error
	miscounts bool
	restored  string // what was restored

	mu     sync.Mutex // a copy reads and writes at the same time
	opened []string
}

func (s *shelf) open(c Configuration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, c.File)
}

func (s *shelf) Dump(_ context.Context, from Configuration, to io.Writer) (Holding, error) {
	s.open(from)
	if s.dumpErr != nil {
		io.WriteString(to, whole[:5])
		return Holding{}, s.dumpErr
	}
	_, err := io.WriteString(to, whole)
	return held, err
}

func (s *shelf) Restore(_ context.Context, to Configuration, from io.Reader) (Holding, error) {
	s.open(to)
	if s.restore != nil {
		return Holding{}, s.restore
	}
	h, err := s.Check(from)
	if err == nil {
		s.restored = whole
	}
	if s.miscounts {
		h.Rows = map[string]int64{"users": 2}
	}
	return h, err
}

func (s *shelf) Check(from io.Reader) (Holding, error) {
	text, err := io.ReadAll(from)
	if err == nil && string(text) != whole {
		err = errors.New("it is cut off")
	}
	if err != nil {
		return Holding{}, err
	}
	return held, nil
}

func (s *shelf) Place(c Configuration) (Place, error) {
	return Place{Store: "store of " + filepath.Base(c.File), Admin: s.admin}, nil
}

// on runs a command for stores.
func (s *shelf) on(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	to := new(endpoint)
	root := &cobra.Command{Use: "caddy", SilenceUsage: true}
	authgate := &cobra.Command{Use: "authgate"}
	to.addFlags(authgate)
	r := recovery{to, s}
	root.AddCommand(group(authgate, r.backup(), r.restore(), r.migrate()))
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append([]string{"authgate"}, args...))
	err = root.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

// running is an endpoint that answers with f; silent is one that nobody listens at.
func running(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func serve(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == BackupPath {
			io.WriteString(w, text)
		}
	}
}

// only demands that a folder holds these files and nothing else.
func only(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	there, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, entry := range there {
		text, _ := os.ReadFile(filepath.Join(dir, entry.Name()))
		got[entry.Name()] = string(text)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.backup")
	address := running(t, serve(whole))
	s := new(shelf)
	out, errs, err := s.on(t, "backup", "--address", address, file)
	if err != nil || errs != "" || out != file+": 3 users, 1 credential, 0 sessions, 0 signing keys, 0 unconfirmed keys and 0 waiting mails.\n" {
		t.Fatal(err, errs, out)
	}
	only(t, dir, map[string]string{"a.backup": whole})
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others could read it", info.Mode(), err)
	}
	out, _, err = s.on(t, "backup", "--json", "--force", "--address", address, file)
	var did BackedUp
	if err != nil || json.Unmarshal([]byte(out), &did) != nil || did.File != file || did.Rows["users"] != 3 || !did.Time.Equal(held.Time) {
		t.Error(err, out)
	}
	if out, errs, err = s.on(t, "backup", "--address", address, "-"); err != nil || errs != "" || out != whole {
		t.Error(err, errs, out)
	}
	if len(s.opened) > 0 {
		t.Error("the store was opened beside the running Caddy")
	}
}

// Caddy dies in the middle, its store fails, the answer is none, somebody else takes the name meanwhile: there is no file
// that looks like a backup, and the one of yesterday is still there.
func TestBackupThatFailsLeavesNothing(t *testing.T) {
	const yesterday = "the one of yesterday"
	var file string
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, whole)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "broke off"},
		"ended early":      {serve(whole[:7]), "cut off"},
		"nothing":          {serve(""), "cut off"},
		"more than it all": {serve(whole + "!"), "cut off"},
		"store down": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			io.WriteString(w, `{"error":"the store is down"}`)
		}, "the store is down"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, force := range []bool{true, false} {
				dir := t.TempDir()
				file = filepath.Join(dir, "a.backup")
				want, args := map[string]string{}, []string{"backup", "--address", running(t, c.answer), file}
				if force {
					if err := os.WriteFile(file, []byte(yesterday), 0o600); err != nil {
						t.Fatal(err)
					}
					want, args = map[string]string{"a.backup": yesterday}, append(args, "--force")
				}
				if out, errs, err := new(shelf).on(t, args...); code(err) != 1 || !strings.Contains(errs, c.says) || out != "" {
					t.Error(err, errs, out)
				}
				only(t, dir, want)
			}
		})
	}
	t.Run("the name is taken meanwhile", func(t *testing.T) {
		dir := t.TempDir()
		file = filepath.Join(dir, "a.backup")
		_, errs, err := new(shelf).on(t, "backup", file, "--address", running(t, func(w http.ResponseWriter, r *http.Request) {
			if err := os.WriteFile(file, []byte(yesterday), 0o600); err != nil {
				t.Error(err)
			}
			serve(whole)(w, r)
		}))
		if code(err) != 1 || !strings.Contains(errs, "--force") {
			t.Error(err, errs)
		}
		only(t, dir, map[string]string{"a.backup": yesterday})
	})
}

// What is there is not replaced unasked, and what is no file never: a link would lead the backup to where others read, and
// root would replace a device.
func TestBackupReplacesOnlyFiles(t *testing.T) {
	dir := t.TempDir()
	elsewhere, link, folder := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link"), filepath.Join(dir, "folder")
	if err := errors.Join(os.WriteFile(elsewhere, nil, 0o644), os.Symlink(elsewhere, link), os.Mkdir(folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	asked := false
	address := running(t, func(http.ResponseWriter, *http.Request) { asked = true })
	for _, args := range [][]string{{elsewhere}, {link}, {link, "--force"}, {folder, "--force"}, {os.DevNull, "--force"}} {
		_, errs, err := new(shelf).on(t, append([]string{"backup", "--address", address}, args...)...)
		if says := map[bool]string{true: "is no file", false: elsewhere + " is there already"}[len(args) > 1 || args[0] == link]; code(err) != 1 || !strings.Contains(errs, says) {
			t.Errorf("%v: %v %s", args, err, errs)
		}
	}
	if asked {
		t.Error("Caddy was asked in vain")
	}
}

// With Caddy down the store is read by the configuration, if that is named: what happens to be in the folder could be
// another's.
func TestBackupWithoutCaddy(t *testing.T) {
	dir := t.TempDir()
	config, file := filepath.Join(t.TempDir(), "caddy.json"), filepath.Join(dir, "a.backup")
	if err := os.WriteFile(config, []byte(`{"admin":{"listen":"`+silent(t)+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := new(shelf)
	if _, errs, err := s.on(t, "backup", "--address", silent(t), file); code(err) != 3 || len(s.opened) > 0 {
		t.Error(err, errs)
	}
	only(t, dir, map[string]string{})
	out, errs, err := s.on(t, "backup", "--config", config, file)
	if err != nil || !strings.Contains(errs, "reading the store directly") || !strings.Contains(out, "3 users") || len(s.opened) != 1 || s.opened[0] != config {
		t.Error(err, errs, out, s.opened)
	}
	only(t, dir, map[string]string{"a.backup": whole})
	s.dumpErr = errors.New("the disk hums")
	if _, errs, err := s.on(t, "backup", "--config", config, file+"2"); code(err) != 1 || !strings.Contains(errs, "the disk hums") {
		t.Error(err, errs)
	}
	only(t, dir, map[string]string{"a.backup": whole})
	// A Caddy that answers, and cannot, is not gone round.
	s.dumpErr = nil
	if err := os.WriteFile(config, []byte(`{"admin":{"listen":"`+running(t, http.NotFound)+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := s.on(t, "backup", "--config", config, file+"2"); code(err) != 1 || !strings.Contains(errs, "built without Authgate") {
		t.Error(err, errs)
	}
}

func TestRestore(t *testing.T) {
	t.Setenv("TZ", "UTC")
	dir := t.TempDir()
	good, cut := filepath.Join(dir, "good"), filepath.Join(dir, "cut")
	if err := errors.Join(os.WriteFile(good, []byte(whole), 0o600), os.WriteFile(cut, []byte(whole[:9]), 0o600)); err != nil {
		t.Fatal(err)
	}
	s := &shelf{admin: silent(t)}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"cut off":   {[]string{cut}, cut + ": it is cut off"},
		"not there": {[]string{good + "2"}, "no such file"},
		"two files": {[]string{good, cut}, "accepts 1 arg"},
	} {
		if _, errs, err := s.on(t, append([]string{"restore", "--config", "new.json"}, c.args...)...); code(err) != 1 || !strings.Contains(errs, c.says) {
			t.Errorf("%s: %v %s", name, err, errs)
		}
	}
	if len(s.opened) > 0 {
		t.Errorf("opened %v for that", s.opened)
	}
	s.restore = errors.New("the store is not empty")
	if _, errs, err := s.on(t, "restore", good, "--config", "new.json"); code(err) != 1 || !strings.Contains(errs, "not empty") {
		t.Error(err, errs)
	}
	s.restore = nil
	out, errs, err := s.on(t, "restore", good, "--config", "new.json")
	if err != nil || errs != "" || !strings.Contains(out, "store of new.json: 3 users") || !strings.Contains(out, "as of 2026-05-04 12:00:00 UTC") || s.restored != whole {
		t.Error(err, errs, out)
	}
	var did Restored
	out, _, err = s.on(t, "restore", good, "--config", "new.json", "--json")
	if err != nil || json.Unmarshal([]byte(out), &did) != nil || did.Store != "store of new.json" || did.Rows["users"] != 3 {
		t.Error(err, out)
	}
	// Where there is no endpoint nobody can be asked.
	s.admin = ""
	if _, errs, err := s.on(t, "restore", good, "--config", "new.json"); err != nil {
		t.Error(err, errs)
	}
}

// What a running Caddy does meanwhile would be lost, and what it has cached would be wrong.
func TestRestoreAndMigrateWantCaddyDown(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	if err := os.WriteFile(good, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	paused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer paused.Close()
	for name, admin := range map[string]string{"running": running(t, http.NotFound), "paused": paused.Addr().String()} {
		s := &shelf{admin: admin}
		for _, args := range [][]string{{"restore", good, "--config", "new.json"}, {"migrate", "--from", "old.json", "--to", "new.json"}} {
			if _, errs, err := s.on(t, args...); code(err) != 1 || !strings.Contains(errs, "stop it first") || len(s.opened) > 0 {
				t.Errorf("%s: %v: %v %s", name, args, err, errs)
			}
		}
	}
}

// A socket that may not be opened says nothing of who listens at it.
func TestEndpointThatMayNotBeSeenIsNotDown(t *testing.T) {
	for _, c := range []struct {
		err  syscall.Errno
		gone bool
	}{{syscall.EACCES, false}, {syscall.EPERM, false}, {syscall.ENOENT, true}, {syscall.ECONNREFUSED, true}} {
		err := gone(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", c.err)})
		if (err == nil) != c.gone {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

func TestMigrate(t *testing.T) {
	fails := errors.New("it fails")
	for name, c := range map[string]struct {
		shelf *shelf
		args  string
		says  string
	}{
		"no new one":              {&shelf{}, "--from old.json", "write: caddy authgate migrate"},
		"no old one":              {&shelf{}, "--to new.json", "write: caddy authgate migrate"},
		"the same":                {&shelf{}, "--from a/old.json --to b/old.json", "the same store"},
		"the old one fails":       {&shelf{dumpErr: fails}, "--from old.json --to new.json", "store of old.json: it fails"},
		"the new one fails":       {&shelf{restore: fails}, "--from old.json --to new.json", "store of new.json: it fails"},
		"something is lost":       {&shelf{miscounts: true}, "--from old.json --to new.json", "is not what was stored"},
		"a DSN as an argument":    {&shelf{}, "--from old.json --to new.json postgres://u:secret@h/d", "unknown command"},
		"a password in the flags": {&shelf{}, "--from old.json --dsn postgres://u:secret@h/d", "unknown flag"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs, err := c.shelf.on(t, append([]string{"migrate"}, strings.Fields(c.args)...)...)
			if code(err) != 1 || !strings.Contains(errs, c.says) {
				t.Errorf("%v %s", err, errs)
			}
		})
	}
	s := new(shelf)
	out, errs, err := s.on(t, "migrate", "--from", "old.json", "--to", "new.json")
	if err != nil || errs != "" || !strings.Contains(out, "From store of old.json to store of new.json: 3 users") || s.restored != whole {
		t.Error(err, errs, out)
	}
}
