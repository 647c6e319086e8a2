package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

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

// hung is an outbox that answers nothing.
type hung struct{ authcore.Outbox }

func (hung) ClaimMails(ctx context.Context, _ int, _, _ time.Time) ([]authcore.SealedMail, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hung) MailWaiting(ctx context.Context) (int, time.Time, error) {
	<-ctx.Done()
	return 0, time.Time{}, ctx.Err()
}

// An outbox that hangs does not keep the worker for ever.
func TestOutboxThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, hung{memory()}, &SMTP{Addr: "smtp.example.com:587"})
		began := time.Now()
		work(o.worker)
		o.worker.observeWaiting(context.Background())
		if took := time.Since(began); took != 2*storeTimeout || o.tally.failed[ClassStore] != 1 {
			t.Errorf("after %v, counted %+v", took, o.tally.failed)
		}
	})
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

// A server that takes its time for each mail does not make a batch outlast its lease, after which another instance would
// send the rest too: what was not begun by half of it can be claimed by anybody at once.
func TestBatchEndsBeforeItsLease(t *testing.T) {
	o := newOffice(t, memory(), senderFunc(nil))
	b := newBatch(t.Context(), o.worker)
	defer b.close()
	if b.over() {
		t.Error("over at its beginning")
	}
	if end, ok := b.work.Deadline(); !ok || time.Until(end) > lease-30*time.Second {
		t.Errorf("ends at %v", end)
	}
	b.began = b.began.Add(-lastBegin - time.Second)
	if !b.over() {
		t.Error("begins mails when its lease is about to end")
	}
}
