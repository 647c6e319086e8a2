package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// patience is how long a notice may take to arrive on a busy machine.
const patience = 20 * time.Second

// ear hears notices.
type ear struct {
	heard     chan authcore.Notice
	connected chan bool
}

func (e *ear) Heard(n authcore.Notice) { e.heard <- n }
func (e *ear) Missed()                 {}
func (e *ear) Connected(is bool)       { e.connected <- is }

// listen listens until the end of the test, and answers once notices arrive.
func (t *T) listen(on authcore.Notices) *ear {
	t.Helper()
	e := &ear{make(chan authcore.Notice, 10000), make(chan bool, 100)}
	ctx, cancel := context.WithCancel(t.ctx)
	var done sync.WaitGroup
	done.Go(func() { on.Listen(ctx, e) })
	t.Cleanup(func() {
		cancel()
		done.Wait() // it ends with its context
	})
	for {
		select {
		case is := <-e.connected:
			if is {
				return e
			}
		case <-time.After(patience):
			t.Fatal("no connection")
		}
	}
}

// hears demands what is heard next.
func (t *T) hears(e *ear, want authcore.Notice) {
	t.Helper()
	select {
	case got := <-e.heard:
		same(t, got, want)
	case <-time.After(patience):
		t.Fatalf("%v is not heard", want)
	}
}

// carriers answers what carries the notices of all handles.
func (t *T) carriers() []authcore.Notices {
	of := func(s Subject) authcore.Notices {
		if s.ChallengeStores.Notices != nil {
			return s.ChallengeStores.Notices
		}
		return s.Stores.Notices
	}
	all := []authcore.Notices{of(t.Subject)}
	if t.Peer != nil {
		all = append(all, of(*t.Peer))
	}
	return all
}

func sessionEnd(id string) authcore.Notice {
	return authcore.Notice{Kind: authcore.NoticeSessionEnded, Subject: id}
}

var noticeTests = []test{
	{"all instances hear it, in order", func(t *T) {
		all := t.carriers()
		for _, n := range all {
			t.is(n.Notify(t.ctx, sessionEnd("before")), nil) // not told: nobody listened
		}
		var ears []*ear
		for _, n := range all {
			ears = append(ears, t.listen(n))
		}
		var sent []authcore.Notice
		for i := range 30 {
			n := authcore.Notice{Kind: authcore.NoticeUserChanged, Subject: fmt.Sprint("é ' % ", i)}
			sent = append(sent, n)
			t.is(all[i%len(all)].Notify(t.ctx, n), nil)
		}
		for _, e := range ears {
			for _, n := range sent {
				t.hears(e, n)
			}
		}
	}},
	{"of many that are sent at once each is heard", func(t *T) {
		const many = 60
		all := t.carriers()
		var ears []*ear
		for _, n := range all {
			ears = append(ears, t.listen(n))
		}
		errs := t.race(many, func(i int, _ Subject) error {
			return all[i%len(all)].Notify(t.ctx, sessionEnd(fmt.Sprint(i)))
		})
		for _, err := range errs {
			t.is(err, nil)
		}
		for _, e := range ears {
			heard := map[authcore.Notice]bool{}
			for late := time.After(patience); len(heard) < many; {
				select {
				case n := <-e.heard:
					heard[n] = true
				case <-late:
					t.Fatalf("heard %d of %d", len(heard), many)
				}
			}
		}
	}},
	{"a context that is over tells nothing", func(t *T) {
		n := t.carriers()[0]
		e := t.listen(n)
		t.over(n.Notify(ended(t), sessionEnd("a")))
		t.is(n.Notify(t.ctx, sessionEnd("b")), nil)
		t.hears(e, sessionEnd("b"))
	}},
	{"listening ends with its context", func(t *T) {
		t.carriers()[0].Listen(ended(t), &ear{make(chan authcore.Notice, 100), make(chan bool, 100)})
	}},
}

var transactionNoticeTests = []test{
	// A sign-out that is taken back was none.
	{"those of a transaction are heard with its end, where it happens", func(t *T) {
		on := []authcore.Notices{t.Stores.Notices}
		if t.Peer != nil {
			on = append(on, t.Peer.Stores.Notices)
		}
		var ears []*ear
		for _, n := range on {
			ears = append(ears, t.listen(n))
		}
		err := t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			t.is(s.Notices.Notify(t.ctx, sessionEnd("never")), nil)
			return errGivenUp
		})
		t.is(err, errGivenUp)
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			t.is(s.Notices.Notify(t.ctx, sessionEnd("a")), nil)
			return s.Notices.Notify(t.ctx, sessionEnd("b"))
		}), nil)
		for _, e := range ears {
			t.hears(e, sessionEnd("a"))
			t.hears(e, sessionEnd("b"))
		}
	}},
}
