package command

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	t.Setenv("TZ", "UTC")
	const parts = `"parts":[{"name":"store","state":"ok","seconds":0.0012},{"name":"clock","state":"down","seconds":0.001,"detail":"the store's clock is +61.0 s from this machine's"},{"name":"notices","state":"off","seconds":0}],
		"keys":2,"signing_since":"2026-01-02T03:04:05Z","version":"v1"}`
	for _, c := range []struct {
		body string
		code int
		want []string
	}{
		{`{"ready":true,` + parts, 0, []string{
			"part     state     took   detail\n", "store    ok        1.2ms\n", "clock    down      1ms    the store's clock is +61.0 s from this machine's\n", "notices  not used\n",
			"ready    yes\n", "keys     2 published; the present one signs since 2026-01-02 03:04:05", "version  v1\n",
		}},
		{`{"ready":false,` + parts, 1, []string{"ready    no\n"}},
		{`{"ready":false,"leaving":true,` + parts, 1, []string{"about to end"}},
	} {
		a := &admin{status: 200, body: c.body}
		server := httptest.NewServer(a)
		out, _, err := told(t, strings.TrimPrefix(server.URL, "http://"), "status")
		server.Close()
		if code(err) != c.code || a.path != "POST /authgate/status" {
			t.Errorf("%v %s", err, a.path)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
		}
	}
}
