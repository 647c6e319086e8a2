// Package storetest is the conformance suite of the stores: every promise of the contracts in package authcore, decided to
// the edge, as tests that any implementation can run against itself. A store that passes may be put into production
// in place of another one.
//
// Where a contract leaves an edge open, the suite closes it:
//
//   - An id that is stored already (user, credential, session, key, mail, invite, personal access token, event) is ErrConflict, and nothing is stored; so is the key
//     of a confirmation that is stored for somebody else.
//   - Version is stored as given at creation, so that what was created can be updated without reading it again.
//   - A user without a username is one whom no username finds; there may be many of them.
//   - A session is opened for a user who is there, else ErrUserNotFound, and never changes hands.
//   - Oldest first is the order of Created, for keys the order in which they were added.
//   - Times come back in UTC, at the precision of a microsecond or better; nil and empty lists are the same.
//   - A context that is over: an error for which errors.Is holds with both ctx.Err() and authcore.ErrUnavailable, and
//     nothing is changed.
//   - Of a username and an address that both belong to others, ErrUsernameTaken is said.
//   - What was claimed comes back as it is stored then: due at until, this claim counted.
//   - Who lowers the number of tries of a lockout suspends those who are over it for as long as they would be remembered.
//   - What is refused in a transaction leaves nothing of itself, and the transaction goes on.
//   - Challenge.Client is for the store and need not come back.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Subject is a store under test. What it does not keep is left zero; either part is complete or left out.
type Subject struct {
	Stores          authcore.Stores
	ChallengeStores authcore.ChallengeStores
	// CleansItself says that the server deletes what has expired, by its own clock and some time later, so that there is
	// nothing left to do for DeleteExpiredChallenges.
	CleansItself bool
	// Peer is a second handle on the same data, as another instance would have, for stores that can be shared. Whatever
	// is raced for is then raced for over both.
	Peer *Subject
}

// Run runs the suite. It calls open for every test; the store that open answers is empty, and whatever it needs for its
// end is registered with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	probe := open(t)
	accounts, short := complete(t, probe.Stores), complete(t, probe.ChallengeStores)
	if !accounts && !short {
		t.Fatal("storetest: the subject has no stores")
	}
	run := func(group string, tests []test) {
		t.Run(group, func(t *testing.T) {
			for _, one := range tests {
				t.Run(one.name, func(t *testing.T) {
					one.run(&T{T: t, Subject: open(t), ctx: t.Context()})
				})
			}
		})
	}
	if accounts {
		run("users", userTests)
		run("credentials", credentialTests)
		run("sessions", sessionTests)
		run("keys", keyTests)
		run("accounts", accountTests)
		run("e-mail addresses", emailTests)
		run("confirmations", confirmationTests)
		run("outbox", outboxTests)
		run("invites", inviteTests)
		run("personal access tokens", tokenTests)
		run("directory", directoryTests)
		run("events", eventTests)
		run("transactions", transactionTests)
	}
	if short {
		run("challenges", challengeTests)
		run("attempts", attemptTests)
		run("lockouts", lockoutTests)
	}
	if probe.Stores.Notices != nil || probe.ChallengeStores.Notices != nil {
		run("notices", noticeTests)
	}
	if probe.Stores.Notices != nil {
		run("notices of transactions", transactionNoticeTests)
	}
}

// test is one promise and how it is put to the test.
type test struct {
	name string
	run  func(*T)
}

// complete reports whether all contracts of a bundle are there, notices and clock aside; some but not all is a mistake in the test.
func complete(t *testing.T, bundle any) bool {
	t.Helper()
	v := reflect.ValueOf(bundle)
	there, all := 0, 0
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name == "Notices" || name == "Clock" {
			continue
		}
		all++
		if !v.Field(i).IsNil() {
			there++
		}
	}
	if there != 0 && there != all {
		t.Fatalf("storetest: %T is complete or left out, this one has %d of %d", bundle, there, all)
	}
	return there != 0
}

// T is a test with a store of its own.
type T struct {
	*testing.T
	Subject
	ctx context.Context
}

// peer answers the handle for the i-th of many who race.
func (t *T) peer(i int) Subject {
	if t.Peer != nil && i%2 == 1 {
		return *t.Peer
	}
	return t.Subject
}

// verdicts are the errors of which a store answers exactly one where it answers one.
var verdicts = []error{
	authcore.ErrUnavailable, authcore.ErrConflict, authcore.ErrUserNotFound, authcore.ErrUsernameTaken, authcore.ErrEmailTaken,
	authcore.ErrConfirmationNotFound, authcore.ErrConfirmationExpired, authcore.ErrInviteNotFound, authcore.ErrInviteExpired,
	authcore.ErrCredentialNotFound, authcore.ErrCredentialInUse, authcore.ErrLastCredential,
	authcore.ErrChallengeNotFound, authcore.ErrChallengeExpired, authcore.ErrChallengeLimit, authcore.ErrSessionNotFound,
	authcore.ErrInvalidCursor, authcore.ErrPersonalAccessTokenNotFound,
}

// is demands that err is want and no other verdict; a want of nil demands that there is no error.
func (t *T) is(err, want error) {
	t.Helper()
	if want == nil {
		if err != nil {
			t.Fatalf("got error %v", err)
		}
		return
	}
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	for _, other := range verdicts {
		if other != want && errors.Is(err, other) {
			t.Fatalf("got error %v, which is %v beside %v", err, other, want)
		}
	}
}

// same demands that got is want and its times are in UTC; nil and empty lists are the same.
func same[V any](t *T, got, want V) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Fatalf("got  %s\nwant %s", g, w)
	}
	if !inUTC(reflect.ValueOf(got)) {
		t.Fatalf("not all times are in UTC: %+v", got)
	}
}

// inUTC looks through a value; a local time of a machine that stands in UTC would print alike.
func inUTC(v reflect.Value) bool {
	if v.CanInterface() {
		if at, ok := v.Interface().(time.Time); ok {
			return at.Location() == time.UTC
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !inUTC(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if !inUTC(v.Index(i)) {
				return false
			}
		}
	}
	return true
}

// race calls try from n goroutines at the same moment and answers their errors. With peers, it races over both.
func (t *T) race(n int, try func(i int, s Subject) error) []error {
	t.Helper()
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			errs[i] = try(i, t.peer(i))
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return errs
}

// oneWins demands that exactly one of the errors is nil and all others are lost, and answers which one won.
func (t *T) oneWins(errs []error, lost error) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		if err == nil && winner >= 0 {
			t.Fatalf("both %d and %d won", winner, i)
		}
		if err == nil {
			winner = i
			continue
		}
		t.is(err, lost)
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	return winner
}

// noon is when all tests happen; microseconds, so that their loss is seen.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 123456000, time.UTC)

// elsewhere is a time zone that no store may give back.
var elsewhere = time.FixedZone("elsewhere", 5*60*60)

func alice() (authcore.User, authcore.Credential) { return account("alice") }

// account answers a user with one credential, neither of them stored yet.
func account(name string) (authcore.User, authcore.Credential) {
	u := authcore.User{
		ID: "id-" + name, Username: name, Name: "Name of " + name, Email: name + "@example.com",
		Roles: []string{"editor", "admin"}, Created: noon,
	}
	return u, authcore.Credential{
		ID: "cred-" + name, UserID: u.ID, Kind: authcore.Wallet, Key: "0x" + name, Name: "laptop",
		Data: []byte{0, 1, 255}, Created: noon, LastUsed: noon.Add(time.Second),
	}
}

// with stores accounts of these names.
func (t *T) with(names ...string) {
	t.Helper()
	for _, name := range names {
		u, c := account(name)
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
	}
}
