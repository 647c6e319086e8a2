package authcore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// EventReport is what a look through the whole audit log found.
type EventReport struct {
	Count   int64     // how many sealed events there are
	Erased  int64     // of how many of them something personal was erased
	Waiting int       // how many are not sealed yet, so that nothing proves them
	Anchor  EventHead // the last event that retention deleted; zero: none
	Head    EventHead // the last event: what to keep elsewhere, and to expect next time
	// Broken is the number of the first event with which something is wrong, and Why is what, in words; 0 where the chain
	// holds.
	Broken int64
	Why    string
}

// errBroken ends a walk: the report says why.
var errBroken = errors.New("the chain is broken")

// retired is how long after the first event that is kept an event may be that was erased by a deletion which retention has
// deleted. An event that was not sealed yet when its user was deleted may stand behind the deletion in the chain; by their
// times they are as far apart as clocks of two instances and the time of a transaction.
const retired = 10 * time.Minute

// sealedAtOnce is how many events one transaction seals, which others who write wait for.
const sealedAtOnce = 1000

// VerifyEvents proves the chain of the audit log: that nothing of it was changed, deleted, inserted or put elsewhere since
// it was sealed, but for what is personal of users who were deleted and for the oldest events. That a user was deleted is an
// event of the chain too: what is erased of anybody else was erased by somebody who covers tracks. Where the deletion is not
// in the chain yet, what waits is sealed, and the log walked once more.
//
// The threat: whoever can write to the store, and knows how events are chained, deletes the newest ones or writes the whole
// chain anew. No store can prove that this did not happen; who has kept an earlier head in another place can, with expect.
// It is nil where there is none. The error is that of the store; a broken chain is none.
func VerifyEvents(ctx context.Context, events Events, expect *EventHead) (EventReport, error) {
	v, err := prove(ctx, events, expect)
	if err != nil || v.report.Broken != 0 || len(v.unexplained()) == 0 {
		return v.report, err
	}
	for n := sealedAtOnce; n == sealedAtOnce; {
		if n, err = events.SealEvents(ctx, sealedAtOnce); err != nil {
			return EventReport{}, err
		}
	}
	before := v.unexplained()
	if v, err = prove(ctx, events, expect); err != nil || v.report.Broken != 0 {
		return v.report, err
	}
	for whose, number := range v.unexplained() {
		// Others are of users who were deleted since, and their events may wait.
		if _, known := before[whose]; known {
			v.breaks(number, "what is personal of it was erased, and nobody was deleted whom it is about or who did it")
		}
	}
	return v.report, nil
}

// prove goes along the chain once. Who was erased without being deleted is not judged.
func prove(ctx context.Context, events Events, expect *EventHead) (*eventProof, error) {
	v := &eventProof{erased: make(map[people]int64), deleted: make(map[string]bool)}
	// Before the walk, so that all that the store counts is walked by.
	head, waiting, err := events.EventHead(ctx)
	if err != nil {
		return v, err
	}
	v.expect = []named{{"the store", head}}
	if expect != nil {
		v.expect = append(v.expect, named{"who asks", *expect})
	}
	v.report.Waiting = waiting
	anchor, err := events.WalkEvents(ctx, v.add)
	if err != nil && !errors.Is(err, errBroken) {
		v.report = EventReport{}
		return v, err
	}
	v.report.Anchor = anchor
	v.end()
	return v, nil
}

// people are those whom an event names.
type people struct{ subject, actor string }

// named is a head, and who says that it is one.
type named struct {
	by string
	EventHead
}

// eventProof goes along the chain.
type eventProof struct {
	report  EventReport
	first   Event
	expect  []named
	erased  map[people]int64 // the first event of which something personal was erased, by whose deletion may explain it
	deleted map[string]bool  // users
}

func (v *eventProof) breaks(at int64, why string) {
	// Of two things that are wrong the earlier one is told.
	if v.report.Broken == 0 || at < v.report.Broken {
		v.report.Broken, v.report.Why = at, why
	}
}

func (v *eventProof) add(e Event) error {
	if v.report.Count == 0 {
		v.first = e // what is before it is known at the end
	} else {
		v.follows(v.report.Head, e)
	}
	v.personal(e)
	if e.Kind == EventUserDeleted && e.Subject != "" {
		v.deleted[e.Subject] = true
	}
	if v.report.Broken != 0 {
		return errBroken
	}
	v.report.Count++
	v.report.Head = EventHead{Number: e.Number, Hash: e.Hash}
	for _, x := range v.expect {
		if x.Number == e.Number && x.Hash != e.Hash {
			v.breaks(e.Number, fmt.Sprintf("its hash is not the one that %s has for it: the chain up to here was written anew", x.by))
			return errBroken
		}
	}
	return nil
}

// follows checks that an event stands behind the one before it.
func (v *eventProof) follows(before EventHead, e Event) {
	switch {
	case e.Number != before.Number+1:
		v.breaks(before.Number+1, fmt.Sprintf("it is missing: %d comes after %d", e.Number, before.Number))
	case e.Chain(before.Hash) != e.Hash:
		v.breaks(e.Number, "its hash is not that of what it says and of the event before it")
	}
}

// personal checks what is personal of an event, or that it is erased.
func (v *eventProof) personal(e Event) {
	switch {
	case e.clientErased() && e.Client+e.UserAgent != "", e.Salt == nil && e.Client+e.UserAgent+e.Detail != "":
		v.breaks(e.Number, "what is personal of it was erased, and written again")
	case e.Salt == nil:
		v.report.Erased++
		whose := people{e.Subject, e.Actor}
		if _, known := v.erased[whose]; !known && !v.mayBeRetired(e) {
			v.erased[whose] = e.Number
		}
	case e.Personal() != e.PersonalHash:
		v.breaks(e.Number, "what is personal of it was changed")
	case e.clientErased(): // for who did it, not for whom it is about
		v.report.Erased++
		whose := people{e.Actor, e.Actor}
		if _, known := v.erased[whose]; !known && !v.mayBeRetired(e) {
			v.erased[whose] = e.Number
		}
	}
}

// mayBeRetired reports whether retention may have deleted the deletion for which an event was erased, and not the event.
func (v *eventProof) mayBeRetired(e Event) bool {
	return v.first.Number > 1 && e.Time.Before(v.first.Time.Add(retired))
}

// unexplained answers those of whom something was erased though the chain has no deletion of either.
func (v *eventProof) unexplained() map[people]int64 {
	none := make(map[people]int64)
	for whose, number := range v.erased {
		if !v.deleted[whose.subject] && !v.deleted[whose.actor] {
			none[whose] = number
		}
	}
	return none
}

// end checks both ends of the chain.
func (v *eventProof) end() {
	anchor, last := v.report.Anchor, v.report.Head
	if v.first.Number != 0 {
		v.follows(anchor, v.first)
	}
	if v.report.Count == 0 {
		v.report.Head = anchor
		last = anchor
	}
	if v.report.Broken != 0 {
		return
	}
	for _, x := range v.expect {
		switch {
		case x.Number > last.Number:
			v.breaks(last.Number+1, fmt.Sprintf("it is missing: the log ends before it, and %s knows %d", x.by, x.Number))
		case x.Number == anchor.Number && x.Hash != anchor.Hash:
			v.breaks(anchor.Number, fmt.Sprintf("its hash is not the one that %s has for it: the chain up to here was written anew", x.by))
		}
	}
}
