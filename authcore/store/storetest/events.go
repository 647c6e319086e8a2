package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// event answers one that happened at noon, not sealed.
func event(id, subject string) authcore.Event {
	e := authcore.Event{
		ID: id, Time: noon, Kind: authcore.EventSignIn, Code: "passkey", Subject: subject,
		Trace: authcore.Trace{
			Actor: "id-bob", SessionID: "sid", Origin: "https://app.example.com", Client: "192.0.2.1", UserAgent: "Browser é",
		},
		Detail: "with words", Salt: []byte{0, 255, 1},
	}
	e.PersonalHash = e.Personal()
	return e
}

func (t *T) log(all ...authcore.Event) {
	t.Helper()
	for _, e := range all {
		t.is(t.Stores.Events.AddEvent(t.ctx, e), nil)
	}
}

func (t *T) seal(n, want int) {
	t.Helper()
	got, err := t.Stores.Events.SealEvents(t.ctx, n)
	t.is(err, nil)
	same(t, got, want)
}

// events demands which events a query answers, by their ids.
func (t *T) events(q authcore.EventQuery, want ...string) []authcore.Event {
	t.Helper()
	all, err := t.Stores.Events.Events(t.ctx, q)
	t.is(err, nil)
	ids := []string{}
	for _, e := range all {
		ids = append(ids, e.ID)
	}
	same(t, ids, append([]string{}, want...))
	return all
}

// holds demands that the chain holds and answers what was found.
func (t *T) holds(s authcore.Stores) authcore.EventReport {
	t.Helper()
	r, err := authcore.VerifyEvents(t.ctx, s.Events, nil)
	t.is(err, nil)
	if r.Broken != 0 {
		t.Fatalf("event %d: %s", r.Broken, r.Why)
	}
	return r
}

var eventTests = []test{
	{"an event is there once it is sealed, wholly", func(t *T) {
		e := event("a", "id-alice")
		e.Time = noon.In(elsewhere)
		t.log(e)
		t.events(authcore.EventQuery{})
		head, waiting, err := t.Stores.Events.EventHead(t.ctx)
		t.is(err, nil)
		same(t, head, authcore.EventHead{})
		same(t, waiting, 1)
		t.seal(10, 1)
		want := event("a", "id-alice")
		want.Number, want.Hash = 1, [32]byte{}
		want.Hash = want.Chain([32]byte{})
		same(t, t.events(authcore.EventQuery{}, "a"), []authcore.Event{want})
		head, waiting, err = t.Stores.Events.EventHead(t.ctx)
		t.is(err, nil)
		same(t, head, authcore.EventHead{Number: 1, Hash: want.Hash})
		same(t, waiting, 0)
		t.seal(10, 0)
	}},
	{"an event without text, or with any, is kept", func(t *T) {
		empty := authcore.Event{ID: "empty", Time: noon, Salt: []byte{1}}
		empty.PersonalHash = empty.Personal()
		t.log(empty)
		t.seal(1, 1)
		same(t, t.events(authcore.EventQuery{}, "empty")[0].Subject, "")
		t.holds(t.Stores)
	}},
	{"an id is one event's", func(t *T) {
		t.log(event("a", "id-alice"))
		t.is(t.Stores.Events.AddEvent(t.ctx, event("a", "id-bob")), authcore.ErrConflict)
		t.seal(10, 1)
		t.events(authcore.EventQuery{Subject: "id-alice"}, "a")
	}},
	{"what happened first is sealed first, and no more than asked for", func(t *T) {
		late, early, between := event("a", ""), event("b", ""), event("c", "")
		early.Time, between.Time = noon.Add(-time.Hour), noon.Add(-time.Microsecond)
		t.log(late, early, between)
		t.seal(0, 0)
		t.seal(2, 2)
		t.events(authcore.EventQuery{}, "c", "b")
		t.seal(2, 1)
		for i, e := range t.events(authcore.EventQuery{}, "a", "c", "b") {
			same(t, e.Number, int64(3-i))
		}
		same(t, t.holds(t.Stores).Count, int64(3))
	}},
	{"a query chooses", func(t *T) {
		about, by, other := event("about", "id-alice"), event("by", "id-carol"), event("other", "id-carol")
		by.Actor, other.Client, other.Kind = "id-alice", "192.0.2.2", authcore.EventSignOut
		both := event("both", "id-alice")
		both.Actor, both.Kind = "id-alice", authcore.EventStepUp
		for i, e := range []authcore.Event{about, by, other, both} {
			e.Time = noon.Add(time.Duration(i) * time.Minute)
			e.PersonalHash = e.Personal()
			t.log(e)
			t.seal(1, 1)
		}
		minute := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Minute).In(elsewhere) }
		t.events(authcore.EventQuery{}, "both", "other", "by", "about")
		t.events(authcore.EventQuery{Subject: "id-alice"}, "both", "by", "about")
		t.events(authcore.EventQuery{Subject: "id-alice", Limit: 2}, "both", "by")
		t.events(authcore.EventQuery{Subject: "id-alice", Before: 4, Limit: 1}, "by")
		t.events(authcore.EventQuery{Subject: "nobody"})
		t.events(authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventSignOut, authcore.EventStepUp}}, "both", "other")
		t.events(authcore.EventQuery{Since: minute(1), Until: minute(3)}, "other", "by")
		t.events(authcore.EventQuery{Since: minute(1).Add(time.Nanosecond), Until: minute(3).Add(time.Nanosecond)}, "both", "other")
		t.events(authcore.EventQuery{Client: "192.0.2.2"}, "other")
		t.events(authcore.EventQuery{Client: "192.0.2"})
		t.events(authcore.EventQuery{Before: 3, Limit: 1}, "by")
		t.events(authcore.EventQuery{
			Subject: "id-alice", Kinds: []authcore.EventKind{authcore.EventSignIn}, Since: minute(0), Until: minute(1), Client: "192.0.2.1", Before: 9, Limit: 5,
		}, "about")
	}},
	{"a query that does not say answers a hundred", func(t *T) {
		for i := range authcore.DefaultEvents + 1 {
			t.log(event(fmt.Sprint(i), ""))
		}
		t.seal(1000, authcore.DefaultEvents+1)
		all, err := t.Stores.Events.Events(t.ctx, authcore.EventQuery{})
		t.is(err, nil)
		same(t, len(all), authcore.DefaultEvents)
	}},
	// Many instances write and seal at once: each event is sealed once, and the chain holds.
	{"of many at once each seals others", func(t *T) {
		const each = 10
		var sealed atomic.Int64
		for _, err := range t.race(16, func(i int, s Subject) error {
			for n := range each {
				if i%2 == 0 {
					if err := s.Stores.Events.AddEvent(t.ctx, event(fmt.Sprint(i, " ", n), "")); err != nil {
						return err
					}
				}
				n, err := s.Stores.Events.SealEvents(t.ctx, 3)
				if err != nil {
					return err
				}
				sealed.Add(int64(n))
			}
			return nil
		}) {
			t.is(err, nil)
		}
		n, err := t.Stores.Events.SealEvents(t.ctx, 1000)
		t.is(err, nil)
		same(t, sealed.Load()+int64(n), int64(8*each))
		same(t, t.holds(t.Stores).Count, int64(8*each))
	}},
	{"a walk goes from the oldest on, until it is stopped", func(t *T) {
		for i := range 5 {
			t.log(event(fmt.Sprint(i), ""))
		}
		t.seal(10, 4+1)
		t.log(event("not sealed", ""))
		enough := errors.New("enough")
		next := int64(1)
		_, err := t.Stores.Events.WalkEvents(t.ctx, func(e authcore.Event) error {
			same(t, e.Number, next)
			if next++; e.Number == 3 {
				return enough
			}
			return nil
		})
		if err != enough { //nolint:errorlint // as it is
			t.Fatalf("got error %v", err)
		}
		same(t, next, int64(4))
	}},
	// By another instance: a store with one connection would wait for itself.
	{"a walk sees one moment", func(t *T) {
		if t.Peer == nil {
			return
		}
		for i := range 5 {
			t.log(event(fmt.Sprint(i), ""))
		}
		t.seal(10, 5)
		walked := int64(0)
		anchor, err := t.Stores.Events.WalkEvents(t.ctx, func(authcore.Event) error {
			if walked++; walked == 1 {
				_, err := t.Peer.Stores.Events.DeleteEvents(t.ctx, noon.Add(time.Hour))
				return err
			}
			return nil
		})
		t.is(err, nil)
		same(t, walked, int64(5))
		same(t, anchor, authcore.EventHead{})
	}},
	{"what is personal is erased, and the chain holds", func(t *T) {
		about, by, other := event("about", "id-alice"), event("by", "id-carol"), event("other", "id-carol")
		by.Actor = "id-alice"
		t.log(about, by, other)
		t.seal(10, 3)
		before := t.events(authcore.EventQuery{}, "other", "by", "about")
		waiting := event("waiting", "id-alice")
		t.log(waiting)
		t.is(t.Stores.Events.EraseEvents(t.ctx, "id-alice"), nil)
		gone := event("xgone", "id-alice")
		gone.Kind = authcore.EventUserDeleted
		t.log(gone)
		t.seal(10, 2)
		after := t.events(authcore.EventQuery{}, "xgone", "waiting", "other", "by", "about")[1:]
		same(t, after[1], before[0])
		for i, e := range after {
			if i == 1 {
				continue
			}
			if e.Client+e.UserAgent+e.Detail != "" || e.Salt != nil {
				t.Fatalf("%+v", e)
			}
		}
		before[1].Client, before[1].UserAgent, before[1].Detail, before[1].Salt = "", "", "", nil
		same(t, after[2], before[1])
		r := t.holds(t.Stores)
		same(t, r.Erased, int64(3))
		t.is(t.Stores.Events.EraseEvents(t.ctx, "nobody"), nil)
	}},
	{"what a deleted user did to others stays, without where they did it from", func(t *T) {
		made := func(subject, actor, detail string) authcore.Event {
			by := authcore.Trace{Actor: actor, Client: "192.0.2.1", UserAgent: "Browser é"}
			e, err := authcore.NewEvent(nil, noon, authcore.EventSessionEnded, "administrator", subject, by, detail)
			t.is(err, nil)
			return e
		}
		all := []authcore.Event{
			made("id-carol", "id-alice", "of carol"), made("", "id-alice", "of nobody"), made("id-alice", "id-alice", "own"),
			made("id-alice", "id-carol", "by carol"), made("id-carol", "id-carol", "of neither"),
		}
		t.log(all...)
		t.seal(10, len(all))
		waiting := made("id-carol", "id-alice", "waiting")
		t.log(waiting)
		erased := func(userID string, left map[string]bool) {
			t.Helper()
			t.is(t.Stores.Events.EraseEvents(t.ctx, userID), nil)
			gone := made(userID, "id-boss", "gone")
			gone.Kind = authcore.EventUserDeleted
			t.log(gone)
			t.holds(t.Stores) // which seals what waits
			found, err := t.Stores.Events.Events(t.ctx, authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventSessionEnded}})
			t.is(err, nil)
			same(t, len(found), len(all)+1)
			told := map[string]bool{}
			for _, e := range found {
				if e.Detail != "" {
					told[e.Detail] = e.Client+e.UserAgent != ""
				}
			}
			same(t, told, left)
		}
		erased("id-alice", map[string]bool{"of carol": false, "of nobody": false, "waiting": false, "of neither": true})
		erased("id-alice", map[string]bool{"of carol": false, "of nobody": false, "waiting": false, "of neither": true})
		erased("id-carol", map[string]bool{"of nobody": false})
	}},
	{"what is erased of nobody who was deleted shows, and that a deletion is not sealed yet does not", func(t *T) {
		e := event("a", "id-alice")
		t.log(e)
		t.seal(10, 1)
		t.is(t.Stores.Events.EraseEvents(t.ctx, "id-alice"), nil)
		r, err := authcore.VerifyEvents(t.ctx, t.Stores.Events, nil)
		t.is(err, nil)
		same(t, r.Broken, int64(1))
		gone := event("gone", "id-alice")
		gone.Kind = authcore.EventUserDeleted
		t.log(gone)
		same(t, t.holds(t.Stores).Count, int64(2))
	}},
	{"the oldest are deleted, without gaps, and the rest still proves itself", func(t *T) {
		n, err := t.Stores.Events.DeleteEvents(t.ctx, noon)
		t.is(err, nil)
		same(t, n, 0)
		for i, at := range []time.Duration{-3, -2, 1, -1} { // the last one came late
			e := event(fmt.Sprint(i), "")
			e.Time = noon.Add(at * time.Hour)
			t.log(e)
			t.seal(1, 1)
		}
		t.log(event("waiting", ""))
		all := t.events(authcore.EventQuery{}, "3", "2", "1", "0")
		n, err = t.Stores.Events.DeleteEvents(t.ctx, noon.In(elsewhere))
		t.is(err, nil)
		same(t, n, 2)
		t.events(authcore.EventQuery{}, "3", "2")
		r := t.holds(t.Stores)
		same(t, r.Anchor, authcore.EventHead{Number: 2, Hash: all[2].Hash})
		same(t, r.Waiting, 1)
		n, err = t.Stores.Events.DeleteEvents(t.ctx, noon.Add(-time.Hour))
		t.is(err, nil)
		same(t, n, 0)
		t.seal(10, 1)
		n, err = t.Stores.Events.DeleteEvents(t.ctx, noon.Add(24*time.Hour))
		t.is(err, nil)
		same(t, n, 3)
		r = t.holds(t.Stores)
		same(t, r.Count, int64(0))
		same(t, r.Head.Number, int64(5))
		t.log(event("after", ""))
		t.seal(10, 1)
		same(t, t.events(authcore.EventQuery{}, "after")[0].Number, int64(6))
		same(t, t.holds(t.Stores).Count, int64(1))
	}},
	{"more are deleted than one step takes", func(t *T) {
		const steps, each = 10, 250
		const many = steps * each
		for step := range steps {
			t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				for i := range each {
					if err := s.Events.AddEvent(t.ctx, event(fmt.Sprint(step, " ", i), "")); err != nil {
						return err
					}
				}
				return nil
			}), nil)
			t.seal(each, each)
		}
		n, err := t.Stores.Events.DeleteEvents(t.ctx, noon.Add(time.Hour))
		t.is(err, nil)
		same(t, n, many)
		same(t, t.holds(t.Stores).Anchor.Number, int64(many))
	}},
	{"an event is part of the transaction that it is written in", func(t *T) {
		no := errors.New("no")
		err := t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			t.is(s.Events.AddEvent(t.ctx, event("a", "")), nil)
			return no
		})
		if !errors.Is(err, no) {
			t.Fatalf("got error %v", err)
		}
		t.seal(10, 0)
		t.is(t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			return s.Events.AddEvent(t.ctx, event("a", ""))
		}), nil)
		t.seal(10, 1)
	}},
	{"a context that ended does nothing", func(t *T) {
		t.log(event("a", ""))
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		e := t.Stores.Events
		t.is(e.AddEvent(ctx, event("b", "")), authcore.ErrUnavailable)
		_, err := e.SealEvents(ctx, 1)
		t.is(err, authcore.ErrUnavailable)
		_, err = e.Events(ctx, authcore.EventQuery{})
		t.is(err, authcore.ErrUnavailable)
		_, err = e.WalkEvents(ctx, func(authcore.Event) error { return nil })
		t.is(err, authcore.ErrUnavailable)
		_, _, err = e.EventHead(ctx)
		t.is(err, authcore.ErrUnavailable)
		t.is(e.EraseEvents(ctx, "id-alice"), authcore.ErrUnavailable)
		_, err = e.DeleteEvents(ctx, noon)
		t.is(err, authcore.ErrUnavailable)
		t.seal(10, 1)
	}},
}
