package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// A word that is spelled wrong is told as such. "Nothing." would say that it never happened, and a list in another order
// that it is in this one.
func TestWrongWordsAreNoAnswers(t *testing.T) {
	h := newHouse(t)
	h.load(h.open(), "authgate\nrespond ok\n")
	h.signIn()
	var log command.AuditLog
	var users command.UserList
	for _, c := range []struct {
		path, question string
		into           any
		refused        string // empty: it is answered
	}{
		{command.AuditPath, `{"kinds":["sign_in","backup"]}`, &log, ""},
		{command.AuditPath, `{"kinds":["sign_in","sign_inn"]}`, &log, `there is no kind "sign_inn"; there are: sign_in, sign_in_refused`},
		{command.AuditPath, `{"kinds":[""]}`, &log, `there is no kind ""`},
		{command.UserListPath, `{"order":"created"}`, &users, ""},
		{command.UserListPath, `{"order":"username"}`, &users, ""},
		{command.UserListPath, `{}`, &users, ""},
		{command.UserListPath, `{"order":"age"}`, &users, `order "age": write username or created`},
	} {
		status, body := operator(t, c.path, c.question, c.into)
		if c.refused == "" && status != 200 || !strings.Contains(body, c.refused) {
			t.Errorf("%s %s: %d %s", c.path, c.question, status, body)
		}
	}
	if len(log.Events) != 1 || len(users.Users) != 1 {
		t.Errorf("%+v %+v", log, users)
	}
}
