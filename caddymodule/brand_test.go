package caddymodule

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/caddymodule/pages"
)

func TestBrandReadsItsLogo(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("logo.svg", `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"/>`)
	t.Setenv("AUTHGATE_TEST_LOGO", good)
	for _, logo := range []string{good, "{env.AUTHGATE_TEST_LOGO}"} {
		p, err := (&Brand{Name: "Works", Logo: logo}).pages()
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := p.ServePage(w, httptest.NewRequest("GET", "/", nil), gateway.Page{Name: "sign-in", Mount: "/auth", Origin: "https://a.example"}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(w.Body.String(), `src="/auth/assets/logo.svg" alt="" width="64" height="32"`) {
			t.Errorf("%s: no logo in %s", logo, w.Body)
		}
	}
	for name, want := range map[string]string{
		filepath.Join(dir, "none.svg"):                             "no such file",
		write("page.svg", "<html/>"):                               "neither PNG nor SVG",
		write("large.svg", strings.Repeat(" ", pages.MaxLogo+100)): "more than 65536",
		"/dev/zero": "more than 65536", // what has no end is not read to its end
	} {
		if _, err := (&Brand{Logo: name}).pages(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
