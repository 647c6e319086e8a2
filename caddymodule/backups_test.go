package caddymodule

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-authgate/authgate/caddymodule/command"
)

func TestPlaceOfAConfiguration(t *testing.T) {
	t.Setenv("AUTHGATE_DB", "/var/lib/x.db")
	t.Setenv("EMPTY", "")
	for name, c := range map[string]struct {
		text  string
		store string
		admin string
		says  string // of the error
	}{
		"a file":             {"{\n authgate {\n store sqlite /srv/a.db\n }\n}\nhttp://localhost {\n authgate\n}", "sqlite /srv/a.db", caddy.DefaultAdminListen, ""},
		"a placeholder":      {"{\n admin localhost:1\n authgate {\n store sqlite {env.AUTHGATE_DB}\n }\n}", "sqlite /var/lib/x.db", "localhost:1", ""},
		"nothing said of it": {"{\n admin off\n}\n:80 {\n authgate {\n origin http://localhost\n }\n}", "sqlite " + filepath.Join(caddy.AppDataDir(), "authgate", "authgate.db"), "", ""},
		"an empty secret":    {"{\n authgate {\n store sqlite {env.EMPTY}\n }\n}", "", "", "EMPTY"},
		"another site":       {":80 {\n respond authgate\n}", "", "", "has no authgate in it"},
		"no Caddyfile":       {":80 {", "", "", "Caddyfile"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "Caddyfile")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := backups{}.Place(command.Configuration{File: file})
			if got.Store != c.store || got.Admin != c.admin || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if _, err := (backups{}).Place(command.Configuration{File: filepath.Join(t.TempDir(), "Caddyfile")}); err == nil {
		t.Error("a configuration that is not there names a store")
	}
}

// A page in the operator's browser asks by a link or an image.
func TestBackupIsPosted(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "PUT"} {
		var refused caddy.APIError
		w := httptest.NewRecorder()
		if err := backUp(w, httptest.NewRequest(method, command.BackupPath, nil)); !errors.As(err, &refused) || refused.HTTPStatus != http.StatusMethodNotAllowed {
			t.Errorf("%s: %v", method, err)
		}
		if w.Body.Len() > 0 {
			t.Errorf("%s is answered", method)
		}
	}
}
