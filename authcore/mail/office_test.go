package mail

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
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
