package mail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

// clock is a present that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// tally is an Observer.
type tally struct {
	mu      sync.Mutex
	sent    map[authcore.MailKind]int
	failed  map[Class]int
	dropped map[string]int
	waiting int
	age     time.Duration
}

func newTally() *tally {
	return &tally{sent: map[authcore.MailKind]int{}, failed: map[Class]int{}, dropped: map[string]int{}, waiting: -1}
}

func (o *tally) MailSent(kind authcore.MailKind) { o.mu.Lock(); o.sent[kind]++; o.mu.Unlock() }
func (o *tally) MailFailed(class Class)          { o.mu.Lock(); o.failed[class]++; o.mu.Unlock() }
func (o *tally) MailDropped(reason string)       { o.mu.Lock(); o.dropped[reason]++; o.mu.Unlock() }

func (o *tally) MailWaiting(n int, age time.Duration) {
	o.mu.Lock()
	o.waiting, o.age = n, age
	o.mu.Unlock()
}

func (o *tally) totalSent() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, k := range o.sent {
		n += k
	}
	return n
}

// office is an outbox with its worker, its clock, what it counted and what it logged.
type office struct {
	t      testing.TB
	clock  *clock
	outbox authcore.Outbox
	worker *Worker
	tally  *tally
	log    *bytes.Buffer
	logMu  sync.Mutex
	n      int
}

func (o *office) Write(p []byte) (int, error) {
	o.logMu.Lock()
	defer o.logMu.Unlock()
	return o.log.Write(p)
}

// open reads a mail that post wrote; what the gateway seals stands here in the open.
func open(_ context.Context, m authcore.SealedMail) (authcore.Mail, error) {
	var mail authcore.Mail
	err := json.Unmarshal(m.Sealed, &mail)
	return mail, err
}

func newOffice(t testing.TB, outbox authcore.Outbox, sender Sender) *office {
	t.Helper()
	o := &office{t: t, clock: &clock{now: testNow}, outbox: outbox, tally: newTally(), log: new(bytes.Buffer)}
	o.worker = o.hire(sender)
	return o
}

// hire answers one more worker on the same outbox.
func (o *office) hire(sender Sender) *Worker {
	o.t.Helper()
	w := &Worker{
		Outbox: o.outbox, Open: open, Sender: sender, From: "Example <auth@example.com>", Name: "Example", Observer: o.tally,
		Logger: slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: o.clock.Now,
	}
	if err := w.begin(); err != nil {
		o.t.Fatal(err)
	}
	return w
}

// post puts a mail into the outbox.
func (o *office) post(m authcore.Mail) authcore.SealedMail {
	o.t.Helper()
	sealed, err := json.Marshal(m)
	if err != nil {
		o.t.Fatal(err)
	}
	o.n++
	s := authcore.SealedMail{ID: fmt.Sprintf("id-%04d", o.n), Sealed: sealed, Created: o.clock.Now(), Due: o.clock.Now()}
	if err := o.outbox.AddMail(context.Background(), s); err != nil {
		o.t.Fatal(err)
	}
	return s
}

func (o *office) postTo(kind authcore.MailKind, to string) authcore.SealedMail {
	m := testMail(kind)
	m.To = to
	return o.post(m)
}

func (o *office) waiting() int {
	o.t.Helper()
	n, _, err := o.outbox.MailWaiting(context.Background())
	if err != nil {
		o.t.Fatal(err)
	}
	return n
}

// work lets a worker do all that it can now.
func work(w *Worker) {
	for w.round(context.Background()) {
	}
}

func plain(server *mailServer) *SMTP { return &SMTP{Addr: server.addr, TLS: NoTLS} }

func memory() authcore.Outbox { return memstore.New().Stores().Outbox }

func TestWorkerSends(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	for _, kind := range kinds {
		o.postTo(kind, string(kind)+"@example.net")
	}
	work(o.worker)
	got := server.got()
	if len(got) != len(kinds) || o.waiting() != 0 {
		t.Fatalf("%d mails sent, %d waiting", len(got), o.waiting())
	}
	if server.connections != 1 {
		t.Errorf("%d connections", server.connections)
	}
	for _, m := range got {
		parse(t, []byte(m.data))
		if m.helo != "example.com" {
			t.Errorf("introduced as %q", m.helo)
		}
	}
	if o.tally.totalSent() != len(kinds) || len(o.tally.failed)+len(o.tally.dropped) != 0 {
		t.Errorf("counted %+v", o.tally)
	}
}

// Whoever asks for a mail to nobody must see the same work; but nothing is ever sent.
func TestDecoysAreNeverSent(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	o.post(authcore.Mail{Kind: authcore.MailDecoy})
	o.post(authcore.Mail{Kind: authcore.MailDecoy, To: "alice@example.net", Origin: "https://app.example.com", Expires: testNow.Add(-time.Hour)})
	work(o.worker)
	if len(server.got()) != 0 || server.connections != 0 || o.waiting() != 0 {
		t.Errorf("%d mails, %d connections, %d waiting", len(server.got()), server.connections, o.waiting())
	}
	if o.log.Len() != 0 || len(o.tally.sent)+len(o.tally.failed)+len(o.tally.dropped) != 0 {
		t.Errorf("logged %q, counted %+v", o.log, o.tally)
	}
}

func TestExpiredAndOldAreDropped(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	reset := testMail(authcore.MailReset)
	reset.Expires = testNow.Add(time.Minute)
	o.post(reset)
	o.postTo(authcore.MailSuspended, "bob@example.net")
	o.clock.advance(time.Minute)
	o.postTo(authcore.MailReset, "carol@example.net")
	work(o.worker)
	if n := server.counted(); len(n) != 2 || n["bob@example.net"] != 1 || n["carol@example.net"] != 1 {
		t.Errorf("sent %v", n)
	}
	if o.tally.dropped["expired"] != 1 || o.waiting() != 0 {
		t.Errorf("counted %+v, %d waiting", o.tally, o.waiting())
	}
	o.postTo(authcore.MailSuspended, "dora@example.net")
	o.clock.advance(maxAge)
	work(o.worker)
	if len(server.got()) != 2 || o.tally.dropped["too_old"] != 1 || o.waiting() != 0 {
		t.Errorf("counted %+v, %d waiting", o.tally, o.waiting())
	}
}

// What can never be told is given up, not tried for three days.
func TestInvalidAreDropped(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	o.postTo(authcore.MailReset, "alice@example.net\r\nBcc: eve@example.com")
	o.postTo("unknown", "alice@example.net")
	elsewhere := testMail(authcore.MailReset)
	elsewhere.Link = "https://evil.example/"
	o.post(elsewhere)
	o.postTo(authcore.MailReset, "bob@example.net")
	work(o.worker)
	if n := server.counted(); len(n) != 1 || n["bob@example.net"] != 1 || o.waiting() != 0 || o.tally.dropped["invalid"] != 3 {
		t.Errorf("sent %v, %d waiting, counted %+v", n, o.waiting(), o.tally)
	}
}

// A mail that cannot be opened now, because the store of the keys is down, is not lost.
func TestUnopenedAreKept(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	o.postTo(authcore.MailReset, "alice@example.net")
	secret := errors.New("cannot read {\"To\":\"alice@example.net\",\"Link\":\"https://app.example.com/auth/reset#k0-\"}")
	o.worker.Open = func(context.Context, authcore.SealedMail) (authcore.Mail, error) { return authcore.Mail{}, secret }
	work(o.worker)
	if o.waiting() != 1 || o.tally.failed[ClassUnopened] != 1 {
		t.Fatalf("%d waiting, counted %+v", o.waiting(), o.tally)
	}
	o.worker.Open = open
	o.clock.advance(time.Minute)
	work(o.worker)
	if len(server.got()) != 1 || o.waiting() != 0 {
		t.Errorf("%d sent, %d waiting", len(server.got()), o.waiting())
	}
	o.checkLog()
}

// checkLog looks that nothing of addresses, links or their keys was logged.
func (o *office) checkLog() {
	o.t.Helper()
	o.logMu.Lock()
	defer o.logMu.Unlock()
	for _, secret := range []string{"@", "example.net", "#", "k0-", "alice", "refused@", "auth/"} {
		if strings.Contains(o.log.String(), secret) {
			o.t.Errorf("the log has %q:\n%s", secret, o.log)
		}
	}
}

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

func TestManyRecipients(t *testing.T) {
	server := (&mailServer{}).start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	const many = 10*batchSize + 3
	for i := range many {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
	}
	work(o.worker)
	if len(server.counted()) != many || len(server.got()) != many || server.connections != 11 || o.waiting() != 0 {
		t.Errorf("%d sent over %d connections, %d waiting", len(server.got()), server.connections, o.waiting())
	}
}

// Two instances on one outbox: each mail goes once.
func TestTwoWorkers(t *testing.T) {
	for _, c := range []struct {
		name string
		open func(t *testing.T) (a, b authcore.Outbox)
	}{
		{"memory", func(*testing.T) (a, b authcore.Outbox) {
			o := memory()
			return o, o
		}},
		{"sqlite, two handles", func(t *testing.T) (a, b authcore.Outbox) {
			file := filepath.Join(t.TempDir(), "authgate.db")
			var handles []authcore.Outbox
			for range 2 {
				s, err := sqlitestore.Open(t.Context(), file)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				handles = append(handles, s.Stores().Outbox)
			}
			return handles[0], handles[1]
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := (&mailServer{}).start(t, nil, false)
			a, b := c.open(t)
			o := newOffice(t, a, plain(server))
			second := o.hire(plain(server))
			second.Outbox = b
			const many = 120
			for i := range many {
				o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
			}
			var both sync.WaitGroup
			both.Go(func() { work(o.worker) })
			both.Go(func() { work(second) })
			both.Wait()
			for to, n := range server.counted() {
				if n != 1 {
					t.Errorf("%s got %d", to, n)
				}
			}
			if len(server.counted()) != many || o.waiting() != 0 {
				t.Errorf("%d got one, %d waiting", len(server.counted()), o.waiting())
			}
			if server.connections < 2 {
				t.Errorf("%d connections: only one worked", server.connections)
			}
		})
	}
}

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

// The worker has to stop in the middle of a batch: the mail on its way arrives, the others can be claimed at once.
func TestStopGivesBack(t *testing.T) {
	server := &mailServer{}
	ctx, cancel := context.WithCancel(t.Context())
	server.data = func(_ int, c *conversation, r io.Reader) error {
		cancel()
		return c.take(r)
	}
	server.start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	for i := range 10 {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
	}
	if err := o.worker.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(server.got()) != 1 || o.waiting() != 9 {
		t.Fatalf("%d sent, %d waiting", len(server.got()), o.waiting())
	}
	work(o.hire(plain(server)))
	if len(server.counted()) != 10 || len(server.got()) != 10 || o.waiting() != 0 {
		t.Errorf("%d sent, %d waiting", len(server.got()), o.waiting())
	}
}

// A mail is sent when the worker is woken, before it would look by itself.
func TestWake(t *testing.T) {
	server := &mailServer{}
	arrived := make(chan struct{}, 1)
	server.data = func(_ int, c *conversation, r io.Reader) error {
		defer func() { arrived <- struct{}{} }()
		return c.take(r)
	}
	server.start(t, nil, false)
	o := newOffice(t, memory(), plain(server))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.worker.Run(ctx) }()
	for i := range 3 {
		o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
		o.worker.Wake()
		o.worker.Wake()
		select {
		case <-arrived:
		case <-time.After(poll - time.Second):
			t.Fatal("not sent")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestObserverIsToldWhatWaits(t *testing.T) {
	o := newOffice(t, memory(), senderFunc(func(context.Context, string) (Connection, error) {
		return nil, &Failure{Class: ClassConnect, Step: "dial"}
	}))
	o.worker.observeWaiting(t.Context())
	if o.tally.waiting != 0 || o.tally.age != 0 {
		t.Errorf("told %d, %v", o.tally.waiting, o.tally.age)
	}
	o.postTo(authcore.MailConfirm, "alice@example.net")
	o.clock.advance(time.Minute)
	o.postTo(authcore.MailConfirm, "bob@example.net")
	o.clock.advance(time.Minute)
	work(o.worker)
	o.worker.observeWaiting(t.Context())
	if o.tally.waiting != 2 || o.tally.age != 2*time.Minute {
		t.Errorf("told %d, %v", o.tally.waiting, o.tally.age)
	}
}

func TestWorkerValidate(t *testing.T) {
	good := func() *Worker {
		return &Worker{Outbox: memory(), Open: open, Sender: &SMTP{Addr: "smtp.example.com:587"}, From: "auth@example.com"}
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Worker){
		"no outbox": func(w *Worker) { w.Outbox = nil },
		"no key":    func(w *Worker) { w.Open = nil },
		"no sender": func(w *Worker) { w.Sender = nil },
		"no server": func(w *Worker) { w.Sender = &SMTP{} },
		"no from":   func(w *Worker) { w.From = "" },
	} {
		w := good()
		spoil(w)
		if w.Validate() == nil || w.Run(t.Context()) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestBackoff(t *testing.T) {
	for _, tries := range []int{-1, 0, 1, 2, 7, 8, 100, math.MaxInt} {
		for range 100 {
			if d := backoff(tries); d < 30*time.Second || d > time.Hour {
				t.Fatalf("%d tries: %v", tries, d)
			}
		}
	}
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[backoff(3)] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d different delays: what failed together comes back together", len(seen))
	}
}

func BenchmarkSend(b *testing.B) {
	ca := newAuthority(b)
	for _, c := range []struct {
		name string
		ca   *authority
	}{{"plain", nil}, {"starttls", ca}} {
		b.Run(c.name, func(b *testing.B) {
			server := &mailServer{data: func(_ int, _ *conversation, r io.Reader) error {
				_, err := io.Copy(io.Discard, r)
				return err
			}}
			s := &SMTP{TLS: NoTLS}
			if c.ca == nil {
				server.start(b, nil, false)
			} else {
				server.start(b, c.ca.good(), false)
				s = &SMTP{Roots: c.ca.pool}
			}
			s.Addr = server.addr
			conn, err := s.Connect(context.Background(), "example.com")
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			templates, from, mail := defaults(b), testFrom(b), testMail(authcore.MailConfirm)
			for b.Loop() {
				m, err := compose(templates, from, "Example", testSealed, mail)
				if err == nil {
					err = conn.Send(context.Background(), m)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
		})
	}
}

// BenchmarkWorker measures the whole way from an outbox on disk, each mail claimed and deleted durably.
func BenchmarkWorker(b *testing.B) {
	server := (&mailServer{}).start(b, nil, false)
	store, err := sqlitestore.Open(b.Context(), filepath.Join(b.TempDir(), "authgate.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	o := newOffice(b, store.Stores().Outbox, plain(server))
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		for i := range batchSize {
			o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
		}
		b.StartTimer()
		work(o.worker)
	}
	b.ReportMetric(float64(b.N*batchSize)/b.Elapsed().Seconds(), "mails/s")
	if o.waiting() != 0 {
		b.Fatalf("%d waiting", o.waiting())
	}
}
