package command

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestKeysRotate(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for _, c := range []struct{ args, asked, body, want string }{
		{"keys rotate", `{}`, `{"key":"k2","signs":"2026-01-02T03:04:05Z"}`, "Made key k2, which signs from 2026-01-02 03:04:05"},
		{"keys rotate", `{}`, `{"key":"k2","signs":"2026-01-02T03:04:05Z","waiting":true}`, "Nothing to do: key k2"},
		{
			"keys rotate --at-once", `{"at_once":true}`, `{"key":"k2","signs":"2026-01-02T03:04:05Z","deleted":2,"lost_mails":3,"untold":true}`,
			"Made key k2, which signs now. Keys that count no more: 2.\nMails that waited and are lost: 3. Who waits for one asks again.\nOther instances could not be told",
		},
	} {
		a := &admin{status: 200, body: c.body}
		server := httptest.NewServer(a)
		out, _, err := told(t, strings.TrimPrefix(server.URL, "http://"), strings.Fields(c.args)...)
		server.Close()
		if err != nil || !strings.Contains(out, c.want) || a.path != "POST /authgate/keys/rotate" || a.asked != c.asked {
			t.Errorf("%s: %v %s %s %s", c.args, err, a.path, a.asked, out)
		}
	}
}
