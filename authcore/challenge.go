package authcore

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// Purpose is what a challenge may be used for, and nothing else.
type Purpose string

const (
	PurposeWalletSignIn          Purpose = "wallet-sign-in"
	PurposeWalletStepUp          Purpose = "wallet-step-up" // the same user again
	PurposeKeySignIn             Purpose = "key-sign-in"    // Solana wallets, and keys of programs
	PurposeKeyStepUp             Purpose = "key-step-up"    // the same user again
	PurposePasskeyRegistration   Purpose = "passkey-registration"
	PurposePasskeyAuthentication Purpose = "passkey-authentication"
	PurposePasskeyStepUp         Purpose = "passkey-step-up" // the same user again, verified
	PurposeHandOff               Purpose = "hand-off"        // a sign-in at one site becomes one at another
	PurposeKeptForm              Purpose = "kept-form"       // what a browser has sent, until its user confirmed
)

// Binding is what a challenge is bound to beside its secret.
type Binding struct {
	Purpose Purpose
	Origin  string // the site it was issued on, "https://app.example.com"
	Subject string // the user who was signed in when it was issued; empty where nobody was
}

// Challenge is a question that was asked and may be answered once.
type Challenge struct {
	ID [32]byte // HashSecret of the nonce or ceremony id; the secret itself is never stored
	Binding
	// Client is who asked, as a rate limit counts clients. A bounded store uses it to be fair; it is not compared.
	Client  string
	Data    []byte // what the mechanism needs to judge the answer, opaque to stores; may be nil
	Expires time.Time
}

// Challenges keeps unanswered challenges.
type Challenges interface {
	// CreateChallenge stores c until it is consumed or deleted. It answers ErrConflict where the ID is stored already and
	// ErrChallengeLimit where a bounded store is full. A store makes room by what expired before now, never by dropping the
	// challenge of a client that has few.
	CreateChallenge(ctx context.Context, c Challenge, now time.Time) error
	// ConsumeChallenge takes the challenge out of the store in one atomic step, whatever it then says of it, and answers
	// what c.Check(want, now) says: of many at once for the same ID one gets it, all others ErrChallengeNotFound.
	ConsumeChallenge(ctx context.Context, id [32]byte, want Binding, now time.Time) (Challenge, error)
	// DeleteExpiredChallenges deletes the challenges that expired at or before the given time and answers how many. A store
	// whose server does so by itself, minutes after they expired, has nothing to do and answers 0.
	DeleteExpiredChallenges(ctx context.Context, before time.Time) (int, error)
}

// Check says whether a challenge that was just consumed may be used as wanted at this moment: nil,
// ErrChallengeNotFound where it was issued for something else, or ErrChallengeExpired from the moment Expires on.
// Every store calls it after taking the challenge out, so that all decide alike.
func (c Challenge) Check(want Binding, now time.Time) error {
	same := subtle.ConstantTimeCompare([]byte(c.Purpose), []byte(want.Purpose)) &
		subtle.ConstantTimeCompare([]byte(c.Origin), []byte(want.Origin)) &
		subtle.ConstantTimeCompare([]byte(c.Subject), []byte(want.Subject))
	switch {
	case same != 1:
		return ErrChallengeNotFound
	case !now.Before(c.Expires):
		return ErrChallengeExpired
	}
	return nil
}

// HashSecret is the form in which secrets are stored and looked up. The secrets are random, 128 bits at least, so a
// plain hash is enough (no salt, no stretching).
func HashSecret(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }
