package authcore

import "context"

// Stores is what keeps accounts: one durable store fulfils all of it.
type Stores struct {
	Users       Users
	Credentials Credentials
	Sessions    Sessions
	Keys        Keys
	Health      Health
}

// ChallengeStores is what keeps the short-lived: it may be another store than the one of the accounts.
type ChallengeStores struct {
	Challenges Challenges
	Attempts   AttemptCounter
	Health     Health
}

// Health asks a store whether it can work.
type Health interface {
	// Ping answers nil where the store can be read now.
	Ping(ctx context.Context) error
}
