package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// mail answers one that is due at noon.
func mail(id string) authcore.SealedMail {
	return authcore.SealedMail{ID: id, Sealed: []byte{0, 255, 1}, Created: noon.Add(-time.Minute), Due: noon}
}

func (t *T) write(all ...authcore.SealedMail) {
	t.Helper()
	for _, m := range all {
		t.is(t.Stores.Outbox.AddMail(t.ctx, m), nil)
	}
}

// claim claims up to n mails and demands which.
func (t *T) claim(n int, now, until time.Time, want ...authcore.SealedMail) []authcore.SealedMail {
	t.Helper()
	got, err := t.Stores.Outbox.ClaimMails(t.ctx, n, now, until)
	t.is(err, nil)
	for i := range want {
		want[i].Due = until.UTC()
		want[i].Tries++
	}
	same(t, got, append([]authcore.SealedMail{}, want...))
	return got
}

var outboxTests = []test{
	{"a mail is claimed when it is due", func(t *T) {
		m := mail("a")
		m.Due, m.Created = noon.In(elsewhere), m.Created.In(elsewhere)
		t.write(m)
		m = mail("a")
		t.claim(10, noon.Add(-time.Microsecond), noon.Add(time.Minute))
		got := t.claim(10, noon, noon.Add(time.Minute).In(elsewhere), m)
		got[0].Sealed[0] = 9
		// Until then it is somebody's, and then anybody's again.
		t.claim(10, noon.Add(time.Minute-time.Microsecond), noon.Add(time.Hour))
		m.Tries = 1
		t.claim(10, noon.Add(time.Minute), noon.Add(time.Hour), m)
	}},
	{"those that were due first come first, and no more than asked for", func(t *T) {
		late, early, between := mail("a"), mail("b"), mail("c")
		early.Due, between.Due = noon.Add(-time.Hour), noon.Add(-time.Minute)
		t.write(late, early, between)
		t.claim(0, noon, noon.Add(time.Hour))
		t.claim(2, noon, noon.Add(time.Hour), early, between)
		t.claim(2, noon, noon.Add(time.Hour), late)
	}},
	{"an id is one mail's", func(t *T) {
		t.write(mail("a"))
		other := mail("a")
		other.Sealed = []byte{7}
		t.is(t.Stores.Outbox.AddMail(t.ctx, other), authcore.ErrConflict)
		t.claim(10, noon, noon.Add(time.Minute), mail("a"))
	}},
	{"a claimed mail is deferred or deleted", func(t *T) {
		t.write(mail("a"), mail("b"))
		claimed := t.claim(10, noon, noon.Add(time.Minute), mail("a"), mail("b"))
		t.is(t.Stores.Outbox.DeferMail(t.ctx, claimed[0], noon.Add(time.Hour).In(elsewhere)), nil)
		t.is(t.Stores.Outbox.DeleteMail(t.ctx, claimed[1]), nil)
		t.is(t.Stores.Outbox.DeleteMail(t.ctx, claimed[1]), nil)
		t.claim(10, noon.Add(time.Hour-time.Microsecond), noon.Add(2*time.Hour))
		t.claim(10, noon.Add(time.Hour), noon.Add(2*time.Hour), claimed[0])
	}},
	// An instance was paused for longer than its claim holds and wakes when another one has taken the mail.
	{"who claimed it before can do nothing with it", func(t *T) {
		t.write(mail("a"))
		first := t.claim(1, noon, noon.Add(time.Minute), mail("a"))
		second := t.claim(1, noon.Add(time.Minute), noon.Add(2*time.Minute), first...)
		stale := first[0]
		stale.Tries = 1
		t.is(t.Stores.Outbox.DeferMail(t.ctx, stale, noon.Add(-time.Hour)), nil)
		t.is(t.Stores.Outbox.DeleteMail(t.ctx, stale), nil)
		t.claim(1, noon.Add(time.Minute), noon.Add(time.Hour)) // not moved
		n, _, err := t.Stores.Outbox.MailWaiting(t.ctx)
		t.is(err, nil)
		same(t, n, 1) // not deleted
		t.is(t.Stores.Outbox.DeleteMail(t.ctx, second[0]), nil)
	}},
	{"what was never claimed, or is not there, cannot be changed by name", func(t *T) {
		t.write(mail("a"))
		guess := mail("a")
		guess.Tries = 1
		t.is(t.Stores.Outbox.DeleteMail(t.ctx, guess), nil)
		t.is(t.Stores.Outbox.DeferMail(t.ctx, guess, noon.Add(time.Hour)), nil)
		t.is(t.Stores.Outbox.DeferMail(t.ctx, mail("b"), noon), nil)
		t.claim(10, noon, noon.Add(time.Minute), mail("a"))
	}},
	{"how many wait, and since when", func(t *T) {
		n, oldest, err := t.Stores.Outbox.MailWaiting(t.ctx)
		t.is(err, nil)
		if n != 0 || !oldest.IsZero() {
			t.Fatalf("got %d since %v", n, oldest)
		}
		old := mail("old")
		old.Created, old.Due = noon.Add(-time.Hour), noon.Add(time.Hour)
		t.write(mail("a"), old, mail("b"))
		n, oldest, err = t.Stores.Outbox.MailWaiting(t.ctx)
		t.is(err, nil)
		same(t, n, 3)
		same(t, oldest, noon.Add(-time.Hour))
	}},
	// Several instances send: each mail goes out once.
	{"of many who claim one gets each", func(t *T) {
		const mails, senders = 60, 8
		for i := range mails {
			t.write(mail(fmt.Sprintf("mail-%03d", i)))
		}
		var mu sync.Mutex
		got := map[string]int{}
		errs := t.race(senders, func(_ int, s Subject) error {
			for empty := 0; empty < 3; {
				claimed, err := s.Stores.Outbox.ClaimMails(t.ctx, 7, noon, noon.Add(time.Minute))
				if err != nil {
					return err
				}
				if len(claimed) > 7 {
					return fmt.Errorf("asked for 7, got %d", len(claimed))
				}
				if len(claimed) == 0 {
					empty++
				}
				mu.Lock()
				for _, m := range claimed {
					got[m.ID]++
				}
				mu.Unlock()
			}
			return nil
		})
		for _, err := range errs {
			t.is(err, nil)
		}
		for id, n := range got {
			if n != 1 {
				t.Errorf("%s was claimed %d times", id, n)
			}
		}
		same(t, len(got), mails)
	}},
	{"a context that is over changes nothing", func(t *T) {
		over, s := ended(t), t.Stores.Outbox
		t.write(mail("a"))
		t.over(s.AddMail(over, mail("b")))
		_, err := s.ClaimMails(over, 10, noon, noon.Add(time.Minute))
		t.over(err)
		t.over(s.DeferMail(over, mail("a"), noon.Add(time.Hour)))
		t.over(s.DeleteMail(over, mail("a")))
		_, _, err = s.MailWaiting(over)
		t.over(err)
		t.claim(10, noon, noon.Add(time.Minute), mail("a"))
	}},
}
