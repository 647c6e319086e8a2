package caddymodule

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// lazyAccounts is a store of accounts that is opened when it is first asked something.
type lazyAccounts struct {
	opening *opening[OpenStore]
	metrics *metrics
}

// stores are the contracts of accounts.
func (l lazyAccounts) stores() authcore.Stores {
	return authcore.Stores{
		Users: l, Credentials: l, Sessions: l, Confirmations: l, Outbox: l, Keys: l, Events: l, Directory: l, Invites: l,
		PersonalAccessTokens: l,
		Notices:              lazyNotices[OpenStore]{l.opening, l.metrics, func(open OpenStore) authcore.Notices { return open.Notices }},
		Transactions:         l, Health: l, Clock: l,
	}
}

// lazyChallenges is a store of challenges that is opened when it is first asked something.
type lazyChallenges struct {
	opening *opening[OpenChallengeStore]
	metrics *metrics
	notices bool // it carries them
}

// stores are the contracts of the short-lived.
func (l lazyChallenges) stores() authcore.ChallengeStores {
	stores := authcore.ChallengeStores{Challenges: l, Attempts: l, Health: l, Clock: l}
	if l.notices {
		stores.Notices = lazyNotices[OpenChallengeStore]{l.opening, l.metrics, func(open OpenChallengeStore) authcore.Notices { return open.Notices }}
	}
	return stores
}

// ask asks an open store something, opening it before where that is due, and counts and times the operation.
func ask[S, T any](ctx context.Context, o *opening[S], m *metrics, operation string, question func(S) (T, error)) (T, error) {
	began := time.Now()
	// The stores themselves begin no spans, so that what they are given may be the context outside of it.
	end := storeSpan(ctx, operation)
	s, err := o.get(ctx)
	if err != nil {
		m.stored(operation, time.Since(began), true)
		end(authcore.Outcome(err))
		var none T
		return none, err
	}
	answer, err := question(s)
	m.stored(operation, time.Since(began), failed(err))
	end(authcore.Outcome(err))
	return answer, err
}

// tell is ask where there is no answer but the error.
func tell[S any](ctx context.Context, o *opening[S], m *metrics, operation string, question func(S) error) error {
	_, err := ask(ctx, o, m, operation, func(s S) (struct{}, error) { return struct{}{}, question(s) })
	return err
}

// verdicts are the errors by which a store that works says no.
var verdicts = []error{
	authcore.ErrConflict, authcore.ErrUserNotFound, authcore.ErrUsernameTaken, authcore.ErrEmailTaken, authcore.ErrInvalidUsername,
	authcore.ErrCredentialNotFound, authcore.ErrCredentialInUse, authcore.ErrLastCredential,
	authcore.ErrChallengeNotFound, authcore.ErrChallengeExpired, authcore.ErrChallengeLimit,
	authcore.ErrConfirmationNotFound, authcore.ErrConfirmationExpired, authcore.ErrInviteNotFound, authcore.ErrInviteExpired,
	authcore.ErrSessionNotFound, authcore.ErrPersonalAccessTokenNotFound, authcore.ErrInvalidCursor, context.Canceled,
}

// failed reports whether an operation failed, rather than answered no.
func failed(err error) bool {
	if err == nil {
		return false
	}
	for _, verdict := range verdicts {
		if errors.Is(err, verdict) {
			return false
		}
	}
	return true
}

func (l lazyAccounts) CreateUser(ctx context.Context, u authcore.User, first authcore.Credential) error {
	return tell(ctx, l.opening, l.metrics, "create_user", func(open OpenStore) error { return open.Users.CreateUser(ctx, u, first) })
}

func (l lazyAccounts) User(ctx context.Context, id string) (authcore.User, error) {
	return ask(ctx, l.opening, l.metrics, "user", func(open OpenStore) (authcore.User, error) { return open.Users.User(ctx, id) })
}

func (l lazyAccounts) UserByUsername(ctx context.Context, username string) (authcore.User, error) {
	return ask(ctx, l.opening, l.metrics, "user_by_username", func(open OpenStore) (authcore.User, error) { return open.Users.UserByUsername(ctx, username) })
}

func (l lazyAccounts) UserByEmail(ctx context.Context, email string) (authcore.User, error) {
	return ask(ctx, l.opening, l.metrics, "user_by_email", func(open OpenStore) (authcore.User, error) { return open.Users.UserByEmail(ctx, email) })
}

func (l lazyAccounts) UpdateUser(ctx context.Context, u authcore.User) error {
	return tell(ctx, l.opening, l.metrics, "update_user", func(open OpenStore) error { return open.Users.UpdateUser(ctx, u) })
}

func (l lazyAccounts) DeleteUser(ctx context.Context, id string) error {
	return tell(ctx, l.opening, l.metrics, "delete_user", func(open OpenStore) error { return open.Users.DeleteUser(ctx, id) })
}

func (l lazyAccounts) CredentialByKey(ctx context.Context, kind authcore.Method, key string) (authcore.Credential, error) {
	return ask(ctx, l.opening, l.metrics, "credential_by_key", func(open OpenStore) (authcore.Credential, error) {
		return open.Credentials.CredentialByKey(ctx, kind, key)
	})
}

func (l lazyAccounts) CredentialsOf(ctx context.Context, userID string) ([]authcore.Credential, error) {
	return ask(ctx, l.opening, l.metrics, "credentials_of", func(open OpenStore) ([]authcore.Credential, error) {
		return open.Credentials.CredentialsOf(ctx, userID)
	})
}

func (l lazyAccounts) AddCredential(ctx context.Context, c authcore.Credential) error {
	return tell(ctx, l.opening, l.metrics, "add_credential", func(open OpenStore) error { return open.Credentials.AddCredential(ctx, c) })
}

func (l lazyAccounts) UpdateCredential(ctx context.Context, c authcore.Credential) error {
	return tell(ctx, l.opening, l.metrics, "update_credential", func(open OpenStore) error { return open.Credentials.UpdateCredential(ctx, c) })
}

func (l lazyAccounts) DeleteCredential(ctx context.Context, userID, id string) error {
	return tell(ctx, l.opening, l.metrics, "delete_credential", func(open OpenStore) error { return open.Credentials.DeleteCredential(ctx, userID, id) })
}

func (l lazyAccounts) CreateSession(ctx context.Context, s authcore.Session) error {
	return tell(ctx, l.opening, l.metrics, "create_session", func(open OpenStore) error { return open.Sessions.CreateSession(ctx, s) })
}

func (l lazyAccounts) Session(ctx context.Context, id string) (authcore.Session, error) {
	return ask(ctx, l.opening, l.metrics, "session", func(open OpenStore) (authcore.Session, error) { return open.Sessions.Session(ctx, id) })
}

func (l lazyAccounts) UpdateSession(ctx context.Context, s authcore.Session) error {
	return tell(ctx, l.opening, l.metrics, "update_session", func(open OpenStore) error { return open.Sessions.UpdateSession(ctx, s) })
}

func (l lazyAccounts) EndSession(ctx context.Context, ids ...string) error {
	return tell(ctx, l.opening, l.metrics, "end_session", func(open OpenStore) error { return open.Sessions.EndSession(ctx, ids...) })
}

func (l lazyAccounts) EndSessionsOf(ctx context.Context, userID, but string, spare int, now time.Time) ([]string, error) {
	return ask(ctx, l.opening, l.metrics, "end_sessions_of", func(open OpenStore) ([]string, error) {
		return open.Sessions.EndSessionsOf(ctx, userID, but, spare, now)
	})
}

func (l lazyAccounts) SessionsOf(ctx context.Context, userID string, now time.Time) ([]authcore.Session, error) {
	return ask(ctx, l.opening, l.metrics, "sessions_of", func(open OpenStore) ([]authcore.Session, error) { return open.Sessions.SessionsOf(ctx, userID, now) })
}

func (l lazyAccounts) DeleteExpiredSessions(ctx context.Context, now time.Time) (int, error) {
	return ask(ctx, l.opening, l.metrics, "delete_expired_sessions", func(open OpenStore) (int, error) { return open.Sessions.DeleteExpiredSessions(ctx, now) })
}

func (l lazyAccounts) Keys(ctx context.Context) ([]authcore.Key, error) {
	return ask(ctx, l.opening, l.metrics, "keys", func(open OpenStore) ([]authcore.Key, error) { return open.Keys.Keys(ctx) })
}

func (l lazyAccounts) AddKey(ctx context.Context, k authcore.Key, after string) error {
	return tell(ctx, l.opening, l.metrics, "add_key", func(open OpenStore) error { return open.Keys.AddKey(ctx, k, after) })
}

func (l lazyAccounts) DeleteKey(ctx context.Context, id string) error {
	return tell(ctx, l.opening, l.metrics, "delete_key", func(open OpenStore) error { return open.Keys.DeleteKey(ctx, id) })
}

func (l lazyAccounts) Ping(ctx context.Context) error {
	return tell(ctx, l.opening, l.metrics, "ping", func(open OpenStore) error { return open.Health.Ping(ctx) })
}

// StoreTime implements authcore.Clock: a store that goes by the clock of this machine has none of its own.
func (l lazyAccounts) StoreTime(ctx context.Context) (time.Time, error) {
	return ask(ctx, l.opening, l.metrics, "store_time", func(open OpenStore) (time.Time, error) { return storeTime(ctx, open.Clock) })
}

// StoreTime implements authcore.Clock, as that of lazyAccounts.
func (l lazyChallenges) StoreTime(ctx context.Context) (time.Time, error) {
	return ask(ctx, l.opening, l.metrics, "store_time_challenges", func(open OpenChallengeStore) (time.Time, error) { return storeTime(ctx, open.Clock) })
}

func storeTime(ctx context.Context, clock authcore.Clock) (time.Time, error) {
	if clock == nil {
		return time.Time{}, nil
	}
	return clock.StoreTime(ctx)
}

func (l lazyChallenges) CreateChallenge(ctx context.Context, c authcore.Challenge, now time.Time) error {
	return tell(ctx, l.opening, l.metrics, "create_challenge", func(open OpenChallengeStore) error { return open.Challenges.CreateChallenge(ctx, c, now) })
}

func (l lazyChallenges) ConsumeChallenge(ctx context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	return ask(ctx, l.opening, l.metrics, "consume_challenge", func(open OpenChallengeStore) (authcore.Challenge, error) {
		return open.Challenges.ConsumeChallenge(ctx, id, want, now)
	})
}

func (l lazyChallenges) DeleteExpiredChallenges(ctx context.Context, before time.Time) (int, error) {
	return ask(ctx, l.opening, l.metrics, "delete_expired_challenges", func(open OpenChallengeStore) (int, error) {
		return open.Challenges.DeleteExpiredChallenges(ctx, before)
	})
}

func (l lazyChallenges) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	return ask(ctx, l.opening, l.metrics, "count_attempt", func(open OpenChallengeStore) (authcore.Attempts, error) {
		return open.Attempts.CountAttempt(ctx, key, window, now)
	})
}

func (l lazyChallenges) CountLockout(ctx context.Context, key string, rule authcore.Lockout, now time.Time) (authcore.Attempts, error) {
	return ask(ctx, l.opening, l.metrics, "count_lockout", func(open OpenChallengeStore) (authcore.Attempts, error) {
		return open.Attempts.CountLockout(ctx, key, rule, now)
	})
}

func (l lazyChallenges) Attempts(ctx context.Context, key string, now time.Time) (authcore.Attempts, error) {
	return ask(ctx, l.opening, l.metrics, "attempts", func(open OpenChallengeStore) (authcore.Attempts, error) {
		return open.Attempts.Attempts(ctx, key, now)
	})
}

func (l lazyChallenges) ClearAttempts(ctx context.Context, key string) error {
	return tell(ctx, l.opening, l.metrics, "clear_attempts", func(open OpenChallengeStore) error { return open.Attempts.ClearAttempts(ctx, key) })
}

func (l lazyChallenges) Ping(ctx context.Context) error {
	return tell(ctx, l.opening, l.metrics, "ping_challenges", func(open OpenChallengeStore) error { return open.Health.Ping(ctx) })
}

var (
	_ authcore.Users          = lazyAccounts{}
	_ authcore.Credentials    = lazyAccounts{}
	_ authcore.Sessions       = lazyAccounts{}
	_ authcore.Keys           = lazyAccounts{}
	_ authcore.Health         = lazyAccounts{}
	_ authcore.Clock          = lazyAccounts{}
	_ authcore.Clock          = lazyChallenges{}
	_ authcore.Challenges     = lazyChallenges{}
	_ authcore.AttemptCounter = lazyChallenges{}
	_ authcore.Health         = lazyChallenges{}
)
