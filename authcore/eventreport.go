package authcore

import (
	"context"
	"errors"
	"fmt"
)

// EventReport is what a look through the whole audit log found.
type EventReport struct {
	Count   int64     // how many sealed events there are
	Erased  int64     // how many of them have nothing personal any more
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

// VerifyEvents proves the chain of the audit log: that nothing of it was changed, deleted, inserted or put elsewhere since
// it was sealed, but for what is personal and for the oldest events.
//
// The threat: whoever can write to the store, and knows how events are chained, deletes the newest ones or writes the whole
// chain anew. No store can prove that this did not happen; who has kept an earlier head in another place can, with expect.
// It is nil where there is none. The error is that of the store; a broken chain is none.
func VerifyEvents(ctx context.Context, events Events, expect *EventHead) (EventReport, error) {
	// Before the walk, so that all that the store counts is walked by.
	head, waiting, err := events.EventHead(ctx)
	if err != nil {
		return EventReport{}, err
	}
	v := eventProof{expect: []named{{"the store", head}}}
	if expect != nil {
		v.expect = append(v.expect, named{"who asks", *expect})
	}
	v.report.Waiting = waiting
	anchor, err := events.WalkEvents(ctx, v.add)
	if err != nil && !errors.Is(err, errBroken) {
		return EventReport{}, err
	}
	v.report.Anchor = anchor
	v.end()
	return v.report, nil
}

// named is a head, and who says that it is one.
type named struct {
	by string
	EventHead
}

// eventProof goes along the chain.
type eventProof struct {
	report EventReport
	first  Event
	expect []named
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
	case e.Salt == nil && e.Client+e.UserAgent+e.Detail != "":
		v.breaks(e.Number, "what is personal of it was erased, and written again")
	case e.Salt == nil:
		v.report.Erased++
	case e.Personal() != e.PersonalHash:
		v.breaks(e.Number, "what is personal of it was changed")
	}
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
