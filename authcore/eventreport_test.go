package authcore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// events is the contract under a name that none of its methods has.
type events = authcore.Events

// tampered is an audit log of which somebody who can write to the store has changed what they like.
type tampered struct {
	events
	all          []authcore.Event
	anchor, head authcore.EventHead
	waiting      []authcore.Event
	sealed       func() // called after sealing, unless nil
}

func (t *tampered) SealEvents(context.Context, int) (int, error) {
	n := len(t.waiting)
	for _, e := range t.waiting {
		t.head = e.Seal(t.head)
		e.Number, e.Hash = t.head.Number, t.head.Hash
		t.all = append(slices.Clip(t.all), e)
	}
	t.waiting = nil
	if t.sealed != nil {
		t.sealed()
	}
	return n, nil
}

func (t *tampered) EventHead(context.Context) (authcore.EventHead, int, error) { return t.head, 0, nil }

func (t *tampered) WalkEvents(_ context.Context, f func(authcore.Event) error) (authcore.EventHead, error) {
	for _, e := range t.all {
		if err := f(e); err != nil {
			return t.anchor, err
		}
	}
	return t.anchor, nil
}

// chain answers a log of n events, of which the first deleted ones are gone.
func chain(t *testing.T, n, deleted int) *tampered {
	t.Helper()
	log := new(tampered)
	for i := range n {
		e, err := authcore.NewEvent(strings.NewReader(strings.Repeat(fmt.Sprint(i), 48)), time.Unix(int64(i), 0), authcore.EventSignIn, "wallet",
			"alice", authcore.Trace{Actor: "alice", Client: "192.0.2.1"}, "words")
		if err != nil {
			t.Fatal(err)
		}
		log.head = e.Seal(log.head)
		e.Number, e.Hash = log.head.Number, log.head.Hash
		if i == deleted-1 {
			log.anchor = log.head
		}
		log.all = append(log.all, e)
	}
	log.all = log.all[deleted:]
	return log
}

// seal writes the chain anew, as somebody can who has understood it.
func (t *tampered) seal() {
	t.head = t.anchor
	for i := range t.all {
		t.head = t.all[i].Seal(t.head)
		t.all[i].Number, t.all[i].Hash = t.head.Number, t.head.Hash
	}
}

// Whoever can write to the store changes the log. Each attack is told with the event at which it shows.
func TestTamperingShows(t *testing.T) {
	kept := chain(t, 5, 0).head
	for name, one := range map[string]struct {
		attack func(*tampered)
		expect *authcore.EventHead
		broken int64 // 0: it does not show
		why    string
	}{
		"nothing was done":           {func(*tampered) {}, nil, 0, ""},
		"nothing, and that is known": {func(*tampered) {}, &kept, 0, ""},
		"another time":               {func(l *tampered) { l.all[2].Time = l.all[2].Time.Add(time.Microsecond) }, nil, 3, "hash"},
		"another kind":               {func(l *tampered) { l.all[2].Kind = authcore.EventSignOut }, nil, 3, "hash"},
		"another code":               {func(l *tampered) { l.all[2].Code = "passkey" }, nil, 3, "hash"},
		"somebody else's":            {func(l *tampered) { l.all[2].Subject = "bob" }, nil, 3, "hash"},
		"by somebody else":           {func(l *tampered) { l.all[2].Actor = "bob" }, nil, 3, "hash"},
		"in another session":         {func(l *tampered) { l.all[2].SessionID = "s" }, nil, 3, "hash"},
		"on another site":            {func(l *tampered) { l.all[2].Origin = "https://evil.example" }, nil, 3, "hash"},
		"with another id":            {func(l *tampered) { l.all[2].ID = "x" }, nil, 3, "hash"},
		"text moved to the next":     {func(l *tampered) { l.all[2].Subject, l.all[2].Actor = "alic", "ealice" }, nil, 3, "hash"},
		"the first":                  {func(l *tampered) { l.all[0].Code = "passkey" }, nil, 1, "hash"},
		"the last":                   {func(l *tampered) { l.all[4].Code = "passkey" }, nil, 5, "hash"},
		"another address":            {func(l *tampered) { l.all[2].Client = "192.0.2.2" }, nil, 3, "personal"},
		"other words":                {func(l *tampered) { l.all[2].Detail = "others" }, nil, 3, "personal"},
		"another browser":            {func(l *tampered) { l.all[2].UserAgent = "others" }, nil, 3, "personal"},
		"another salt":               {func(l *tampered) { l.all[2].Salt = []byte("other") }, nil, 3, "personal"},
		"other words and their hash": {func(l *tampered) { l.all[2].Detail = "others"; l.all[2].PersonalHash = l.all[2].Personal() }, nil, 3, "hash"},
		"erased, nobody deleted":     {func(l *tampered) { l.erase(1, 2) }, nil, 2, "deleted"},
		"erased, and that is known":  {func(l *tampered) { l.erase(2) }, &kept, 3, "deleted"},
		"erased, and it names nobody": {func(l *tampered) {
			l.all[2].Subject, l.all[2].Actor = "", ""
			l.erase(2)
			l.seal()
		}, nil, 3, "deleted"},
		"erased, and a deletion names nobody": {func(l *tampered) {
			l.all[2].Subject, l.all[2].Actor = "", ""
			l.all[3].Kind, l.all[3].Subject = authcore.EventUserDeleted, ""
			l.erase(2)
			l.seal()
		}, nil, 3, "deleted"},
		"erased, and somebody else deleted": {func(l *tampered) {
			l.all[3].Kind, l.all[3].Subject = authcore.EventUserDeleted, "bob"
			l.erase(2)
			l.seal()
		}, nil, 3, "deleted"},
		"erased, and then cut off":   {func(l *tampered) { l.erase(2); l.all = l.all[:4] }, nil, 5, "missing"},
		"written again after erased": {func(l *tampered) { l.all[2].Salt = nil }, nil, 3, "erased"},
		"deleted":                    {func(l *tampered) { l.all = slices.Delete(l.all, 2, 3) }, nil, 3, "missing"},
		"the first deleted":          {func(l *tampered) { l.all = l.all[1:] }, nil, 1, "missing"},
		"all deleted":                {func(l *tampered) { l.all = nil }, nil, 1, "missing"},
		"deleted, and the rest moved up": {func(l *tampered) {
			l.all = slices.Delete(l.all, 2, 3)
			l.all[2].Number, l.all[3].Number = 3, 4
		}, nil, 3, "hash"},
		"put elsewhere": {func(l *tampered) {
			l.all[1], l.all[2] = l.all[2], l.all[1]
			l.all[1].Number, l.all[2].Number = 2, 3
		}, nil, 2, "hash"},
		"put elsewhere, with its number": {func(l *tampered) { l.all[1], l.all[2] = l.all[2], l.all[1] }, nil, 2, "missing"},
		"inserted": {func(l *tampered) {
			l.all = slices.Insert(l.all, 2, l.all[1])
			for i := range l.all {
				l.all[i].Number = int64(i + 1)
			}
		}, nil, 3, "hash"},
		"inserted with a number that is there": {func(l *tampered) { l.all = slices.Insert(l.all, 2, l.all[1]) }, nil, 3, "missing"},
		"written behind the end":               {func(l *tampered) { l.all = append(l.all, l.all[4]); l.all[5].Number = 6 }, nil, 6, "hash"},
		"cut off":                              {func(l *tampered) { l.all = l.all[:3] }, nil, 4, "missing"},
		// Those that only a head shows which was kept elsewhere.
		"cut off, and so is its end":            {func(l *tampered) { l.all = l.all[:3]; l.head = authcore.EventHead{Number: 3, Hash: l.all[2].Hash} }, &kept, 4, "missing"},
		"cut off with its end, and nobody kept": {func(l *tampered) { l.all = l.all[:3]; l.head = authcore.EventHead{Number: 3, Hash: l.all[2].Hash} }, nil, 0, ""},
		"the whole written anew":                {func(l *tampered) { l.all[1].Subject = "bob"; l.seal() }, &kept, 5, "anew"},
		"the whole written anew, nobody kept":   {func(l *tampered) { l.all[1].Subject = "bob"; l.seal() }, nil, 0, ""},
		"an end that is another":                {func(l *tampered) { l.head.Hash[0]++ }, nil, 5, "anew"},
		"everything gone, as if by retention": {func(l *tampered) {
			l.all, l.anchor = nil, authcore.EventHead{Number: 5}
			l.head = l.anchor
		}, &kept, 5, "anew"},
	} {
		t.Run(name, func(t *testing.T) {
			log := chain(t, 5, 0)
			one.attack(log)
			r, err := authcore.VerifyEvents(t.Context(), log, one.expect)
			if err != nil || r.Broken != one.broken || !strings.Contains(r.Why, one.why) {
				t.Errorf("%+v, %v; want event %d", r, err, one.broken)
			}
		})
	}
}

func TestChainWhoseOldestEventsWereDeleted(t *testing.T) {
	log := chain(t, 5, 2)
	r, err := authcore.VerifyEvents(t.Context(), log, nil)
	if err != nil || r.Broken != 0 || r.Count != 3 || r.Anchor.Number != 2 || r.Head.Number != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	// More is missing than retention deleted, or the anchor is another one.
	log.all = log.all[1:]
	if r, err := authcore.VerifyEvents(t.Context(), log, nil); err != nil || r.Broken != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	log = chain(t, 5, 2)
	log.anchor.Hash[0]++
	if r, err := authcore.VerifyEvents(t.Context(), log, nil); err != nil || r.Broken != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// erase erases what is personal of events.
func (t *tampered) erase(which ...int) {
	for _, i := range which {
		e := &t.all[i]
		e.Client, e.UserAgent, e.Detail, e.Salt = "", "", "", nil
	}
}

// What was erased of users who were deleted is no attack: of whom an event is about or who did it, also where the clocks of
// instances are so far apart that the deletion stands before it.
func TestErasedOfDeletedUsersHolds(t *testing.T) {
	for name, prepare := range map[string]func(*tampered){
		"about them":        func(l *tampered) { l.all[2].Actor = "bob" },
		"by them":           func(l *tampered) { l.all[2].Subject = "bob" },
		"deleted before it": func(l *tampered) { l.all[1], l.all[4] = l.all[4], l.all[1] },
		"deleted, and not sealed": func(l *tampered) {
			l.waiting = l.all[4:]
			l.all = l.all[:4]
		},
	} {
		log := chain(t, 5, 0)
		log.all[4].Kind = authcore.EventUserDeleted
		log.erase(2)
		prepare(log)
		log.seal()
		r, err := authcore.VerifyEvents(t.Context(), log, nil)
		if err != nil || r.Broken != 0 || r.Erased != 1 || r.Count != 5 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// Users who are deleted between the first look and the second are not taken for those who were not.
func TestErasedMeanwhileHolds(t *testing.T) {
	log := chain(t, 5, 0)
	log.all[4].Kind = authcore.EventUserDeleted
	log.all[1].Subject, log.all[1].Actor = "bob", "bob"
	log.erase(2)
	log.waiting = log.all[4:]
	log.all = log.all[:4]
	log.seal()
	log.sealed = func() { log.erase(1) }
	if r, err := authcore.VerifyEvents(t.Context(), log, nil); err != nil || r.Broken != 0 || r.Erased != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	// The next look knows that there is no deletion of bob.
	log.sealed = nil
	if r, err := authcore.VerifyEvents(t.Context(), log, nil); err != nil || r.Broken != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Retention has deleted the deletion, and what was erased for it and stands behind it is there yet: for as long as clocks of
// instances may be apart. What is later was erased by somebody else.
func TestErasedWhoseDeletionWasRetired(t *testing.T) {
	for name, c := range map[string]struct {
		deleted int
		after   time.Duration // how long after the first that is kept
		broken  int64
	}{
		"at once":             {2, 0, 0},
		"at the last moment":  {2, 10*time.Minute - time.Microsecond, 0},
		"later":               {2, 10 * time.Minute, 4},
		"nothing was deleted": {0, 0, 4},
	} {
		log := chain(t, 5, c.deleted)
		at := len(log.all) - 2
		log.all[at].Time = log.all[0].Time.Add(c.after)
		log.erase(at)
		log.seal()
		if r, err := authcore.VerifyEvents(t.Context(), log, nil); err != nil || r.Broken != c.broken {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestErrorOfTheStoreIsNoVerdict(t *testing.T) {
	log := failing{chain(t, 5, 0)}
	if _, err := authcore.VerifyEvents(t.Context(), log, nil); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("got error %v", err)
	}
}

type failing struct{ *tampered }

func (failing) WalkEvents(context.Context, func(authcore.Event) error) (authcore.EventHead, error) {
	return authcore.EventHead{}, authcore.ErrUnavailable
}

// Who did it was deleted: what they did to somebody else stays in words, and the chain proves it still. Whoever erases that of
// somebody who was not deleted, writes something in its place, or changes the words, is found.
func TestErasedClientsHold(t *testing.T) {
	for name, c := range map[string]struct {
		attack func(l *tampered, e *authcore.Event)
		broken int64
	}{
		"erased":                        {func(*tampered, *authcore.Event) {}, 0},
		"nobody was deleted":            {func(l *tampered, _ *authcore.Event) { l.all[4].Kind = authcore.EventSignIn }, 3},
		"whom it is about was deleted":  {func(l *tampered, _ *authcore.Event) { l.all[4].Subject = "bob" }, 3},
		"another client":                {func(_ *tampered, e *authcore.Event) { e.Client = "192.0.2.9" }, 3},
		"another user agent":            {func(_ *tampered, e *authcore.Event) { e.UserAgent = "Browser" }, 3},
		"other words":                   {func(_ *tampered, e *authcore.Event) { e.Detail = "others" }, 3},
		"another hash of the client":    {func(_ *tampered, e *authcore.Event) { e.Salt[20]++ }, 3},
		"another salt of the words":     {func(_ *tampered, e *authcore.Event) { e.Salt[0]++ }, 3},
		"the rest erased with the user": {func(l *tampered, _ *authcore.Event) { l.erase(2) }, 0},
	} {
		log := chain(t, 5, 0)
		log.all[4].Kind, log.all[2].Subject = authcore.EventUserDeleted, "bob"
		e := &log.all[2]
		e.EraseClient()
		e.EraseClient() // changes nothing
		if e.Client+e.UserAgent != "" || e.Detail != "words" || len(e.Salt) != 48 {
			t.Fatalf("%+v", e)
		}
		c.attack(log, e)
		log.seal()
		r, err := authcore.VerifyEvents(t.Context(), log, nil)
		if err != nil || r.Broken != c.broken || c.broken == 0 && r.Erased != 1 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// The hash that stands for the client is changed while there is something to compare it with: later nobody could tell.
func TestHashOfClientsIsProved(t *testing.T) {
	log := chain(t, 3, 0)
	log.all[1].Salt[20]++
	if r, err := authcore.VerifyEvents(t.Context(), log, nil); err != nil || r.Broken != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	// Also where whoever changed it has written the chain anew with it.
	log = chain(t, 3, 0)
	log.all[1].Client = "192.0.2.9"
	log.seal()
	if r, err := authcore.VerifyEvents(t.Context(), log, nil); err != nil || r.Broken != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// In events of earlier releases one salt hides all that is personal.
func TestErasedClientsOfEarlierReleases(t *testing.T) {
	log := chain(t, 5, 0)
	for i := range log.all {
		e := &log.all[i]
		e.Salt = e.Salt[:16]
		e.PersonalHash = e.Personal()
	}
	log.all[4].Kind, log.all[2].Subject = authcore.EventUserDeleted, "bob"
	log.all[2].EraseClient()
	if e := log.all[2]; e.Client+e.UserAgent+e.Detail != "" || e.Salt != nil {
		t.Fatalf("%+v", e)
	}
	log.seal()
	if r, err := authcore.VerifyEvents(t.Context(), log, nil); err != nil || r.Broken != 0 || r.Erased != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
