package authcore

import (
	"context"
	"time"
)

// Stores is what keeps accounts: one durable store fulfils all of it.
type Stores struct {
	Users         Users
	Credentials   Credentials
	Sessions      Sessions
	Confirmations Confirmations
	Outbox        Outbox
	Keys          Keys
	Directory     Directory
	Invites       Invites
	Events        Events
	// PersonalAccessTokens keeps what programs present in place of a session.
	PersonalAccessTokens PersonalAccessTokens
	// Notices carries notices between the instances on this store; nil where it cannot.
	Notices      Notices
	Transactions Transactions // nil in the stores of a transaction
	Health       Health       // nil in the stores of a transaction
	Clock        Clock        // nil where the store goes by the clock of this machine
}

// ChallengeStores is what keeps the short-lived: it may be another store than the one of the accounts.
type ChallengeStores struct {
	Challenges Challenges
	Attempts   AttemptCounter
	// Notices carries notices between the instances on this store; nil where it cannot. It goes before that of Stores.
	Notices Notices
	Health  Health
	Clock   Clock // nil where the store goes by the clock of this machine
}

// Transactions makes several changes one.
type Transactions interface {
	// Transact calls f with stores whose changes all happen where f answers nil, and none of which happens else; nobody sees
	// some of them before. What f reads is not changed by others until the end, or the whole is tried again: f may be called
	// several times and must change nothing but through the stores it is given, which are good until it returns. It answers
	// the error of f as it is, or ErrUnavailable.
	Transact(ctx context.Context, f func(Stores) error) error
}

// Clock tells the time of a store on another machine.
type Clock interface {
	// StoreTime answers what time it is by the store's clock; the zero time where it has none of its own.
	StoreTime(ctx context.Context) (time.Time, error)
}

// Health asks a store whether it can work.
type Health interface {
	// Ping answers nil where the store can be read, and written, now. It writes nothing.
	Ping(ctx context.Context) error
}
