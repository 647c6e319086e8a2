package authcore

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"
)

// EventKind is the stable name of what happened. Names are never changed, nor given another meaning.
type EventKind string

const (
	EventSignIn          EventKind = "sign_in"         // Code tells the method
	EventSignInRefused   EventKind = "sign_in_refused" // Code is that of the refusal
	EventStepUp          EventKind = "step_up"         // Code tells the method
	EventSignOut         EventKind = "sign_out"
	EventSessionEnded    EventKind = "session_ended" // by somebody, in a session other than that one; Code tells why
	EventUserCreated     EventKind = "user_created"
	EventUserDeleted     EventKind = "user_deleted"
	EventUserDisabled    EventKind = "user_disabled"
	EventUserEnabled     EventKind = "user_enabled"
	EventProfileChanged  EventKind = "profile_changed" // Code is what: "name", "username"
	EventEmailChanged    EventKind = "email_changed"
	EventMethodAdded     EventKind = "method_added"   // Code tells the method
	EventMethodRemoved   EventKind = "method_removed" // Code tells the method
	EventPasswordChanged EventKind = "password_changed"
	EventSuspended       EventKind = "suspended" // password sign-in, after too many failures
	EventSuspensionLift  EventKind = "suspension_lifted"
	EventRoleGranted     EventKind = "role_granted" // Code is the role
	EventRoleRevoked     EventKind = "role_revoked" // Code is the role
	EventInviteCreated   EventKind = "invite_created"
	EventInviteUsed      EventKind = "invite_used"
	EventInviteRevoked   EventKind = "invite_revoked"
	EventRecoveryCreated EventKind = "recovery_created" // a link by which a user adds a new credential
	EventRecoveryUsed    EventKind = "recovery_used"
	EventTokenCreated    EventKind = "token_created" // a personal access token
	EventTokenDeleted    EventKind = "token_deleted" // Code tells who did it, or with what it went
	EventKeyRotated      EventKind = "key_rotated"
	EventConfigLoaded    EventKind = "configuration_loaded" // Code is a hash of it
	EventBackup          EventKind = "backup"
	EventRestore         EventKind = "restore"
)

// EventKinds answers all kinds that there are.
func EventKinds() []EventKind {
	return []EventKind{
		EventSignIn, EventSignInRefused, EventStepUp, EventSignOut, EventSessionEnded,
		EventUserCreated, EventUserDeleted, EventUserDisabled, EventUserEnabled, EventProfileChanged, EventEmailChanged,
		EventMethodAdded, EventMethodRemoved, EventPasswordChanged, EventSuspended, EventSuspensionLift,
		EventRoleGranted, EventRoleRevoked, EventInviteCreated, EventInviteUsed, EventInviteRevoked, EventRecoveryCreated, EventRecoveryUsed,
		EventTokenCreated, EventTokenDeleted, EventKeyRotated, EventConfigLoaded, EventBackup, EventRestore,
	}
}

// Operator is the actor of what is done on the command line of the machine.
const Operator = "operator"

// Trace is who does something, from where, and through what.
type Trace struct {
	Actor     string // the id of the user who does it, Operator, or empty: nobody who is signed in
	SessionID string // through which session; empty: none
	Origin    string // of which site; empty: none
	Client    string // the address of the client; empty: none
	UserAgent string // what the client says it is; cut short, without control characters
}

// Event is an entry of the audit log. What it says is never changed; what is personal of it (Client, UserAgent, Detail)
// can be erased with its user, and the chain still proves the rest and the order. Of whoever did it to somebody else only
// Client and UserAgent are erased: what an administrator did to others stays evidence.
type Event struct {
	ID string // 128 random bits
	// Number is the place in the log, from 1 on, without gaps. It is 0 until the event is sealed into the chain, which
	// happens within seconds after the transaction that it was written in.
	Number  int64
	Time    time.Time
	Kind    EventKind
	Code    string // what of it happened, in a few fixed words, see EventKind; may be empty
	Subject string // the id of the user it is about; empty: nobody's
	Trace
	Detail string // what else there is to tell, in words for people; may be empty
	// Salt hides what is personal behind PersonalHash; nil once all of that is erased. It is 128 random bits for Detail, a
	// hash that stands for Client and UserAgent, and 128 random bits for that, which are gone once those two are erased.
	// Events of earlier releases have one salt of 128 bits for all three.
	Salt []byte
	// PersonalHash stands in the chain for what is personal.
	PersonalHash [32]byte
	// Hash is that of this event and the one before it: see Chain. Zero until the event is sealed.
	Hash [32]byte
}

// NewEvent makes an event that happens now. The random bytes come from random, or from crypto/rand.Reader where that is
// nil. What a client wrote is cut short as by ClientText, detail too.
func NewEvent(random io.Reader, now time.Time, kind EventKind, code, subject string, by Trace, detail string) (Event, error) {
	if random == nil {
		random = rand.Reader
	}
	var b [48]byte // of an id and two salts
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Event{}, fmt.Errorf("event: random bytes: %w", err)
	}
	by.Client, by.UserAgent = ClientText(by.Client), ClientText(by.UserAgent)
	e := Event{
		ID: hex.EncodeToString(b[:16]), Time: now.UTC().Truncate(time.Microsecond), Kind: kind, Code: code, Subject: subject,
		Trace: by, Detail: ClientText(detail),
	}
	of := e.client(b[32:])
	e.Salt = slices.Concat(b[16:32], of[:], b[32:])
	e.PersonalHash = e.Personal()
	return e, nil
}

const (
	detailSalt = 16              // where the hash of Client and UserAgent begins in Salt
	keptSalt   = detailSalt + 32 // how long Salt is once Client and UserAgent are erased
	wholeSalt  = keptSalt + 16
)

// client answers the hash of Client and UserAgent.
func (e Event) client(salt []byte) [32]byte {
	h := sha256.New()
	writeAll(h.Write, "authgate event client 1", string(salt), e.Client, e.UserAgent)
	return [32]byte(h.Sum(nil))
}

// clientErased reports whether Client and UserAgent were erased of e, and Detail was not.
func (e Event) clientErased() bool { return len(e.Salt) == keptSalt }

// EraseClient erases Client and UserAgent, and Detail too where that cannot be proved without them: in events of earlier
// releases.
func (e *Event) EraseClient() {
	e.Client, e.UserAgent = "", ""
	if len(e.Salt) == wholeSalt || e.clientErased() {
		e.Salt = e.Salt[:keptSalt:keptSalt]
	} else {
		e.Detail, e.Salt = "", nil
	}
}

// Personal answers the hash of what is personal in e, with its salt; the zero hash where the salt does not fit.
func (e Event) Personal() [32]byte {
	h := sha256.New()
	if len(e.Salt) == wholeSalt || e.clientErased() {
		of := e.Salt[detailSalt:keptSalt]
		// Else the hash could not be trusted once what it is of is erased.
		if now := e.client(e.Salt[keptSalt:]); !e.clientErased() && !bytes.Equal(of, now[:]) {
			return [32]byte{}
		}
		writeAll(h.Write, "authgate event personal 2", string(e.Salt[:detailSalt]), string(of), e.Detail)
		return [32]byte(h.Sum(nil))
	}
	writeAll(h.Write, "authgate event personal 1", string(e.Salt), e.Client, e.UserAgent, e.Detail)
	return [32]byte(h.Sum(nil))
}

// Chain answers the hash of e as the one after previous, which is the zero hash for the first event. Everything of e is in
// it but what is personal, for which PersonalHash stands.
func (e Event) Chain(previous [32]byte) [32]byte {
	h := sha256.New()
	var number, at [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(e.Number))
	binary.BigEndian.PutUint64(at[:], uint64(e.Time.UnixMicro()))
	writeAll(h.Write, "authgate event 1", string(previous[:]), string(number[:]), string(at[:]), e.ID, string(e.Kind), e.Code,
		e.Subject, e.Actor, e.SessionID, e.Origin, string(e.PersonalHash[:]))
	return [32]byte(h.Sum(nil))
}

// Seal answers the end of the chain once e, which gets the next number, stands at it.
func (e Event) Seal(head EventHead) EventHead {
	e.Number = head.Number + 1
	return EventHead{Number: e.Number, Hash: e.Chain(head.Hash)}
}

// writeAll writes texts so that no two lists of texts give the same bytes.
func writeAll(write func([]byte) (int, error), texts ...string) {
	var length [8]byte
	for _, s := range texts {
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		write(length[:])
		write([]byte(s))
	}
}

// EventQuery chooses events. The zero value of a field chooses all.
type EventQuery struct {
	Subject string // of this user, or by this user (Actor)
	Kinds   []EventKind
	Since   time.Time // at or after
	Until   time.Time // before
	Client  string    // from exactly this address
	Before  int64     // with a smaller number, for the next page; 0: from the newest on
	Limit   int       // at most so many; default DefaultEvents
}

// DefaultEvents is how many events a query answers that does not say.
const DefaultEvents = 100

// Chooses reports whether a sealed event is one that is asked for, whatever the limit.
func (q EventQuery) Chooses(e Event) bool {
	return (q.Subject == "" || e.Subject == q.Subject || e.Actor == q.Subject) &&
		(len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) &&
		(q.Since.IsZero() || !e.Time.Before(q.Since)) &&
		(q.Until.IsZero() || e.Time.Before(q.Until)) &&
		(q.Client == "" || e.Client == q.Client) &&
		(q.Before == 0 || e.Number < q.Before)
}

// EventHead is where the chain ends.
type EventHead struct {
	Number int64
	Hash   [32]byte
}

// Events keeps the audit log.
type Events interface {
	// AddEvent stores an event that is not sealed yet, as part of the transaction.
	AddEvent(ctx context.Context, e Event) error
	// SealEvents puts up to n events that are not sealed yet, in the order of their time, at the end of the chain, and
	// answers how many it sealed. Of many at once each seals others, or none.
	SealEvents(ctx context.Context, n int) (int, error)
	// Events answers sealed events, the newest first.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
	// WalkEvents tells all sealed events, the oldest first, until f answers an error, and answers that. anchor is the hash
	// before the first of them: zero, or that of the last one deleted by DeleteEvents. f must not ask the store.
	WalkEvents(ctx context.Context, f func(e Event) error) (anchor EventHead, err error)
	// EventHead answers the end of the chain, and how many events wait to be sealed.
	EventHead(ctx context.Context) (head EventHead, waiting int, err error)
	// EraseEvents erases what is personal in the events about a user, and who they were in those that the user did to others:
	// see Event.EraseClient.
	EraseEvents(ctx context.Context, userID string) error
	// DeleteEvents deletes sealed events from before the given time, the oldest first and without gaps, keeps the anchor
	// for what remains, and answers how many.
	DeleteEvents(ctx context.Context, before time.Time) (int, error)
}
