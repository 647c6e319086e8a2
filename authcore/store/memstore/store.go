// Package memstore keeps everything in memory.
//
// Store keeps accounts, for tests and examples: with the process goes all it knew. Challenges and Attempts keep the
// short-lived and are meant for real use on a single instance: losing them costs a user one more try.
//
// Both are bounded, because whoever can reach the sign-in page can fill them, and both decide whom a full store costs
// something: for Challenges the client that holds the most, for Attempts the keys with the fewest tries. Nothing here
// starts a goroutine or reads a clock; what expired goes when it is asked to go, or when its place is needed.
package memstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Store keeps accounts in memory and has a Challenges and an Attempts of the default size. New makes one.
type Store struct {
	mu sync.RWMutex
	*accounts
	short  authcore.ChallengeStores
	notify func(authcore.Notice) // called with mu held
	board  *board
}

// accounts is all that a Store keeps of them. Values are replaced, never changed in place.
type accounts struct {
	users         map[string]authcore.User
	usernames     map[string]string // every folded username ever used, to the account it belongs to; "" where that is deleted
	emails        map[string]string // address to account
	credentials   map[string]authcore.Credential
	credentialOf  map[credentialKey]string
	sessions      map[string]authcore.Session
	confirmations map[confirmationKey]authcore.Confirmation
	mails         map[string]authcore.SealedMail
	invites       map[string]authcore.Invite
	tokens        map[string]authcore.PersonalAccessToken
	keys          []authcore.Key // oldest first
	events        chronicle
}

type credentialKey struct {
	kind authcore.Method
	key  string
}

type confirmationKey struct {
	purpose authcore.ConfirmationPurpose
	subject string
}

// New answers an empty store.
func New() *Store {
	b := new(board)
	return &Store{
		accounts: newAccounts(),
		short:    NewChallengeStores(ChallengesConfig{}, AttemptsConfig{}),
		notify:   b.post,
		board:    b,
	}
}

func newAccounts() *accounts {
	return &accounts{
		users:         map[string]authcore.User{},
		usernames:     map[string]string{},
		emails:        map[string]string{},
		credentials:   map[string]authcore.Credential{},
		credentialOf:  map[credentialKey]string{},
		sessions:      map[string]authcore.Session{},
		confirmations: map[confirmationKey]authcore.Confirmation{},
		mails:         map[string]authcore.SealedMail{},
		invites:       map[string]authcore.Invite{},
		tokens:        map[string]authcore.PersonalAccessToken{},
	}
}

// NewChallengeStores answers what keeps challenges and attempts in memory, bounded as configured.
func NewChallengeStores(challenges ChallengesConfig, attempts AttemptsConfig) authcore.ChallengeStores {
	c := NewChallenges(challenges)
	return authcore.ChallengeStores{Challenges: c, Attempts: NewAttempts(attempts), Health: c}
}

// Stores answers the contracts that keep accounts.
func (s *Store) Stores() authcore.Stores {
	return authcore.Stores{
		Users: s, Credentials: s, Sessions: s, Confirmations: s, Outbox: s, Keys: s, Events: s,
		Directory: s, Invites: s, PersonalAccessTokens: s, Notices: s, Transactions: s, Health: s,
	}
}

// ChallengeStores answers the contracts that keep the short-lived.
func (s *Store) ChallengeStores() authcore.ChallengeStores { return s.short }

// Ping answers nil while ctx lives: memory is always there.
func (s *Store) Ping(ctx context.Context) error { return alive(ctx) }

// alive refuses work for callers who are gone, as a store on a network does.
func alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: %w: %w", authcore.ErrUnavailable, err)
	}
	return nil
}

// refuse gives a verdict the noun of this package.
func refuse(verdict error) error { return fmt.Errorf("memstore: %w", verdict) }

// instant is the form in which times are kept, the same as on disk: UTC, microseconds, no monotonic reading. So code that
// works on this store does not meet other times on a durable one.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

var (
	_ authcore.Users         = (*Store)(nil)
	_ authcore.Credentials   = (*Store)(nil)
	_ authcore.Sessions      = (*Store)(nil)
	_ authcore.Confirmations = (*Store)(nil)
	_ authcore.Outbox        = (*Store)(nil)
	_ authcore.Keys          = (*Store)(nil)
	_ authcore.Events        = (*Store)(nil)
	_ authcore.Invites       = (*Store)(nil)
	_ authcore.Notices       = (*Store)(nil)
	_ authcore.Transactions  = (*Store)(nil)
	_ authcore.Health        = (*Store)(nil)
)
