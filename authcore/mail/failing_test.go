package mail

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/caddy-authgate/authgate/authcore"
)

// Of three mails one is refused for good, one for now; the third is sent over the same connection.
func TestRefusedRecipients(t *testing.T) {
	now := true
	server := &mailServer{rcpt: func(_ int, to string) error {
		switch {
		case strings.HasPrefix(to, "never"):
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<" + to + ">: no such user"}
		case strings.HasPrefix(to, "later") && now:
			return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "<" + to + ">: greylisted"}
		}
		return nil
	}}
	server.start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	for _, to := range []string{"never@example.net", "later@example.net", "alice@example.net"} {
		o.postTo(authcore.MailConfirm, to)
	}
	work(o.worker)
	if n := server.counted(); len(n) != 1 || n["alice@example.net"] != 1 || server.connections != 1 || o.waiting() != 2 {
		t.Fatalf("sent %v over %d connections, %d waiting", n, server.connections, o.waiting())
	}
	now = false
	o.clock.advance(time.Minute)
	work(o.worker)
	if n := server.counted(); n["later@example.net"] != 1 || o.waiting() != 1 {
		t.Fatalf("sent %v, %d waiting", n, o.waiting())
	}
	for range 10 {
		o.clock.advance(time.Hour)
		work(o.worker)
	}
	if n := server.counted(); len(n) != 2 || o.waiting() != 0 {
		t.Errorf("sent %v, %d waiting", n, o.waiting())
	}
	if o.tally.dropped["refused"] != 1 || o.tally.failed[ClassRefused] != maxRefusals || o.tally.failed[ClassTemporary] != 1 {
		t.Errorf("counted %+v", o.tally)
	}
	if !strings.Contains(o.log.String(), "550 5.1.1") {
		t.Errorf("the log does not tell why:\n%s", o.log)
	}
	o.checkLog()
}

// The server goes away in the middle of a mail: it and those after it arrive later, those before it once.
func TestServerGoesAwayInDATA(t *testing.T) {
	server := &mailServer{}
	gone := map[string]bool{}
	server.data = func(_ int, c *conversation, r io.Reader) error {
		if c.now.to == "to3@example.net" && !gone[c.now.to] {
			gone[c.now.to] = true
			_, _ = io.ReadFull(r, make([]byte, 20))
			return c.conn.Conn().Close()
		}
		return c.take(r)
	}
	server.start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	for i := range 10 {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
	}
	work(o.worker)
	if len(server.got()) != 9 || server.connections != 2 || o.waiting() != 1 || o.tally.failed[ClassLost] != 1 {
		t.Fatalf("%d sent over %d connections, %d waiting, counted %+v", len(server.got()), server.connections, o.waiting(), o.tally)
	}
	o.clock.advance(time.Minute)
	work(o.worker)
	for to, n := range server.counted() {
		if n != 1 {
			t.Errorf("%s got %d", to, n)
		}
	}
	if len(server.got()) != 10 || o.waiting() != 0 {
		t.Errorf("%d sent, %d waiting", len(server.got()), o.waiting())
	}
	o.checkLog()
}

// A mail at which the server always ends the connection holds up no other for long.
func TestPoisonousMail(t *testing.T) {
	server := &mailServer{}
	server.rcpt = func(_ int, to string) error {
		if strings.HasPrefix(to, "poison") {
			return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "bye"}
		}
		return nil
	}
	server.start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	o.postTo(authcore.MailConfirm, "poison@example.net")
	o.postTo(authcore.MailConfirm, "first@example.net")
	if work(o.worker); server.counted()["first@example.net"] != 1 {
		t.Error("one such mail held up those after it")
	}
	for i := range 5 {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("poison%d@example.net", i))
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
	}
	for range 60 {
		o.clock.advance(time.Minute)
		work(o.worker)
	}
	for i := range 5 {
		if n := server.counted()[fmt.Sprintf("to%d@example.net", i)]; n != 1 {
			t.Errorf("to%d got %d", i, n)
		}
	}
	if o.waiting() != 6 {
		t.Errorf("%d waiting", o.waiting())
	}
}

// Servers that take only so many mails over one connection say 421 then; all arrive at once nevertheless.
func TestServerWithFewMailsPerConnection(t *testing.T) {
	server, taken := &mailServer{}, map[int]int{}
	server.mail = func(conn int) error {
		if taken[conn]++; taken[conn] > 3 {
			return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "too many messages in this connection"}
		}
		return nil
	}
	server.start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	for i := range 10 {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
	}
	work(o.worker)
	if len(server.counted()) != 10 || len(server.got()) != 10 || o.waiting() != 0 || server.connections != 4 {
		t.Errorf("%d sent over %d connections, %d waiting", len(server.got()), server.connections, o.waiting())
	}
}
