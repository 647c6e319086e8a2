package command

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

const invited = `{"id":"i1","link":"https://app.example.com/auth/invite#0123","roles":["admin"],"uses":1,"expires":"2026-01-02T03:04:05Z"}`

func TestInvite(t *testing.T) {
	t.Setenv("TZ", "UTC")
	a := &admin{status: 200, body: invited}
	server := httptest.NewServer(a)
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	out, errs, err := told(t, address, "invite", "--role", "admin", "--role", "editor", "--uses", "2", "--expires", "3d", "--note", "Bob")
	if err != nil || errs != "" {
		t.Fatal(err, errs)
	}
	if a.path != "POST /authgate/invite" || a.asked != `{"roles":["admin","editor"],"uses":2,"expires":"3d","note":"Bob"}` {
		t.Errorf("asked %s %s", a.path, a.asked)
	}
	// The link has a line of its own, the first: $(caddy authgate invite | head -n 1).
	if want := "https://app.example.com/auth/invite#0123\n\nroles    admin\nexpires  2026-01-02 03:04:05 UTC\nid       i1\n"; out != want {
		t.Errorf("shown %q, want %q", out, want)
	}
	out, _, err = told(t, address, "--json", "invite")
	var got Invited
	if err != nil || json.Unmarshal([]byte(out), &got) != nil || got.Link != "https://app.example.com/auth/invite#0123" {
		t.Errorf("%s, %v", out, err)
	}
}

func TestRecover(t *testing.T) {
	t.Setenv("TZ", "UTC")
	a := &admin{status: 200, body: `{"user":` + alice + `,"link":"https://app.example.com/auth/recover#0123","expires":"2026-01-02T03:04:05Z"}`}
	server := httptest.NewServer(a)
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	out, errs, err := told(t, address, "recover", "alice", "--origin", "https://app.example.com")
	if err != nil || errs != "" {
		t.Fatal(err, errs)
	}
	if a.path != "POST /authgate/recover" || a.asked != `{"user":"alice","origin":"https://app.example.com"}` {
		t.Errorf("asked %s %s", a.path, a.asked)
	}
	if want := "https://app.example.com/auth/recover#0123\n\nfor      alice\nexpires  2026-01-02 03:04:05 UTC\n"; out != want {
		t.Errorf("shown %q, want %q", out, want)
	}
	a.status, a.body = 404, `{"error":"user not found"}`
	if _, errs, err = told(t, address, "recover", "nobody"); code(err) != exitNoSuchUser || !strings.Contains(errs, `"nobody"`) {
		t.Errorf("%v, %s", err, errs)
	}
}

// offline makes invites without a running Caddy.
type offline struct {
	Backups
	config Configuration
	asked  InviteQuestion
}

func (o *offline) Invite(_ context.Context, c Configuration, q InviteQuestion) (Invited, error) {
	o.config, o.asked = c, q
	return Invited{Link: "https://app.example.com/auth/invite#0123"}, nil
}

func TestInviteWhileCaddyIsDown(t *testing.T) {
	for _, config := range []string{"", "Caddyfile.test"} {
		o := new(offline)
		c := recovery{&endpoint{address: "localhost:1", config: config}, o}.invite()
		c.SetArgs([]string{"--role", "admin"})
		c.SetContext(t.Context())
		var out strings.Builder
		c.SetOut(&out)
		c.SetErr(&out)
		err := c.Execute()
		if config == "" {
			if code(err) != exitUnreachable || o.config.File != "" {
				t.Errorf("%v, %+v", err, o)
			}
			continue
		}
		if err != nil || o.config.File != config || o.asked.Roles[0] != "admin" || !strings.Contains(out.String(), "/invite#0123") {
			t.Errorf("%v, %+v, %s", err, o, out.String())
		}
	}
}

// Invite implements Backups: nobody asks for that here.
func (*shelf) Invite(context.Context, Configuration, InviteQuestion) (Invited, error) {
	panic("not asked for")
}
