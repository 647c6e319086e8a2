package mail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/caddy-authgate/authgate/authcore"
)

// stuckOutbox acknowledges no deletion, as if the process ended before it.
type stuckOutbox struct{ authcore.Outbox }

func (stuckOutbox) DeleteMail(context.Context, authcore.SealedMail) error {
	return fmt.Errorf("gone: %w", authcore.ErrUnavailable)
}

// The process ends between sending a mail and deleting it: the next one sends it again, byte for byte the same, so that
// whoever gets both can tell.
func TestCrashBetweenSendAndDelete(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	o.postTo(authcore.MailConfirm, "alice@example.net")
	crashing := o.hire(plain(server))
	crashing.Outbox = stuckOutbox{o.outbox}
	work(crashing)
	work(o.worker)
	if len(server.got()) != 1 || o.waiting() != 1 {
		t.Fatalf("%d sent, %d waiting", len(server.got()), o.waiting())
	}
	o.clock.advance(lease)
	work(o.worker)
	got := server.got()
	if len(got) != 2 || o.waiting() != 0 {
		t.Fatalf("%d sent, %d waiting", len(got), o.waiting())
	}
	if got[0].data != got[1].data {
		t.Error("the second differs from the first")
	}
	if id := parse(t, []byte(got[0].data)).header.Get("Message-Id"); id != "<id-0001@example.com>" {
		t.Errorf("Message-ID %q", id)
	}
}

// The outbox is down when a sent mail is to be deleted: the process that sent it does not send it again.
func TestStoreDownAfterSending(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	o.postTo(authcore.MailConfirm, "alice@example.net")
	o.worker.Outbox = stuckOutbox{o.outbox}
	work(o.worker)
	o.clock.advance(lease)
	work(o.worker)
	o.worker.Outbox = o.outbox
	o.clock.advance(lease)
	work(o.worker)
	if len(server.got()) != 1 || o.waiting() != 0 || len(o.worker.sent) != 0 {
		t.Errorf("%d sent, %d waiting, %v held", len(server.got()), o.waiting(), o.worker.sent)
	}
	if o.tally.failed[ClassStore] != 2 {
		t.Errorf("counted %+v", o.tally)
	}
}

// spy notes when mails are made due, and how often they are tried.
type spy struct {
	authcore.Outbox
	now      func() time.Time
	deferred map[string][]time.Duration
}

func (s *spy) DeferMail(ctx context.Context, m authcore.SealedMail, due time.Time) error {
	s.deferred[m.ID] = append(s.deferred[m.ID], due.Sub(s.now()))
	return s.Outbox.DeferMail(ctx, m, due)
}

// The mail server is down for a day. Nothing is lost but what expired, nobody hammers at it, and when it is back all
// arrives within the bounds of the backoff, once.
func TestOutageForHours(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	dialed := 0
	o := newOffice(t, memory(), senderFunc(func(ctx context.Context, helo string) (Connection, error) {
		dialed++
		return nil, &Failure{Class: ClassConnect, Step: "dial", Err: errors.New("connection refused")}
	}))
	s := &spy{Outbox: o.outbox, now: o.clock.Now, deferred: map[string][]time.Duration{}}
	o.worker.Outbox = s
	for i := range 40 {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
	}
	o.postTo(authcore.MailReset, "expires@example.net")
	const step = 5 * time.Second
	for range int(24 * time.Hour / step) {
		o.clock.advance(step)
		work(o.worker)
	}
	if o.waiting() != 40 || o.tally.dropped["expired"] != 1 {
		t.Fatalf("%d waiting, counted %+v", o.waiting(), o.tally)
	}
	// A pause of up to two minutes between tries, so at least every three; at most each thirty seconds.
	if dialed > int(24*time.Hour/firstDelay) || dialed < 24 {
		t.Errorf("dialed %d times in a day", dialed)
	}
	put := 0
	for _, delays := range s.deferred {
		put += len(delays)
	}
	if put > dialed+batchSize {
		t.Errorf("%d mails put off for %d tries of the server: they were claimed for nothing", put, dialed)
	}
	for id, delays := range s.deferred {
		for i, d := range delays {
			if least := min(firstDelay<<min(i, 10), lastDelay); d < least || d > least*3/2 || d < 30*time.Second || d > time.Hour {
				t.Fatalf("%s: try %d was put off by %v", id, i+1, d)
			}
		}
	}
	o.worker.Sender = plain(server)
	for range int(time.Hour/step) + 1 {
		o.clock.advance(step)
		work(o.worker)
	}
	for to, n := range server.counted() {
		if n != 1 {
			t.Errorf("%s got %d", to, n)
		}
	}
	if len(server.counted()) != 40 || o.waiting() != 0 {
		t.Errorf("%d got one, %d waiting", len(server.counted()), o.waiting())
	}
}

// While the server is down, mails come in all the time: it is tried every two minutes or so, not for each of them.
func TestPauseDuringOutage(t *testing.T) {
	dialed := 0
	o := newOffice(t, memory(), senderFunc(func(context.Context, string) (Connection, error) {
		dialed++
		return nil, &Failure{Class: ClassConnect, Step: "dial"}
	}))
	for i := range 360 {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
		work(o.worker)
		o.clock.advance(5 * time.Second)
	}
	if dialed < 10 || dialed > 20 {
		t.Errorf("dialed %d times in half an hour", dialed)
	}
}

// A server that takes connections and ends each at its first mail is as good as down: it is left alone between tries. Once
// it is back, mails go in batches again.
func TestPauseWhereConnectionsEnd(t *testing.T) {
	var back atomic.Bool
	server := &mailServer{rcpt: func(int, string) error {
		if back.Load() {
			return nil
		}
		return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "bye"}
	}}
	server.start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	for i := range 100 {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
	}
	for range 360 {
		work(o.worker)
		o.clock.advance(5 * time.Second)
	}
	if server.connections < 10 || server.connections > 25 {
		t.Errorf("connected %d times in half an hour", server.connections)
	}
	back.Store(true)
	before := server.connections
	o.clock.advance(time.Hour)
	work(o.worker)
	if n := server.connections - before; len(server.got()) != 100 || n > 5 {
		t.Errorf("%d sent over %d connections", len(server.got()), n)
	}
}

// senderFunc is a Sender.
type senderFunc func(ctx context.Context, helo string) (Connection, error)

func (f senderFunc) Connect(ctx context.Context, helo string) (Connection, error) {
	return f(ctx, helo)
}

// A clock that was set back does not stop the mails for as long as it was set.
func TestClockSetBack(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), senderFunc(func(context.Context, string) (Connection, error) {
		return nil, &Failure{Class: ClassConnect, Step: "dial"}
	}))
	o.clock.advance(24 * time.Hour)
	o.postTo(authcore.MailSuspended, "alice@example.net")
	work(o.worker)
	o.clock.advance(-24 * time.Hour)
	o.postTo(authcore.MailSuspended, "bob@example.net")
	o.worker.Sender = plain(server)
	work(o.worker)
	if n := server.counted(); n["bob@example.net"] != 1 {
		t.Errorf("sent %v", n)
	}
}

// Credentials or a sender address that the server does not take are errors of the configuration: no mail is given up for them.
func TestConfigurationErrorsLoseNothing(t *testing.T) {
	refused := &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "auth@example.com not yours"}
	for _, c := range []struct {
		name   string
		server *mailServer
		user   string
		want   Class
	}{
		{"sender", &mailServer{mail: func(int) error { return refused }}, "", ClassFrom},
		{"credentials", &mailServer{mech: []string{"PLAIN"}}, "somebody", ClassAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := c.server.start(t, nil, false)
			sender := plain(server)
			sender.Username, sender.Password = c.user, testPassword
			if c.user == "" {
				sender.Password = ""
			}
			o := newOffice(t, memory(), sender)
			for i := range 5 {
				o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
			}
			work(o.worker)
			if server.connections != 1 || o.tally.failed[c.want] != 1 {
				t.Errorf("%d connections, counted %+v", server.connections, o.tally)
			}
			for range 20 {
				o.clock.advance(time.Hour)
				work(o.worker)
			}
			if o.waiting() != 5 || len(o.tally.dropped) != 0 {
				t.Errorf("%d waiting, counted %+v", o.waiting(), o.tally)
			}
			o.checkLog()
			if strings.Contains(o.log.String(), testPassword) {
				t.Error("the log has the password")
			}
		})
	}
}
