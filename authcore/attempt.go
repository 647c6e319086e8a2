package authcore

import (
	"context"
	"time"
)

// Attempts is a count of tries within a window.
type Attempts struct {
	Count int       // tries counted
	Reset time.Time // when the window ends and counting begins anew
}

// Lockout says when tries are suspended.
type Lockout struct {
	Tries   int           // how many in a row are let through
	Suspend time.Duration // how long none is after that
	Forget  time.Duration // tries count no more when so much time passed since the last one
}

// AttemptCounter counts tries, for rate limits and lockouts.
type AttemptCounter interface {
	// CountAttempt counts one try under key, in one atomic step, and answers the count in its window, this try included. The
	// window begins with the first try and is not prolonged by further ones.
	CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (Attempts, error)
	// CountLockout counts one try under key, in one atomic step, unless tries are suspended. A try to be let through is
	// answered its number, 1 to l.Tries; the last of them begins the suspension, which ends l.Suspend later, and any other
	// makes the count forgotten l.Forget later: either time is Reset. A try during the suspension is answered l.Tries+1 and
	// changes nothing.
	CountLockout(ctx context.Context, key string, l Lockout, now time.Time) (Attempts, error)
	// Attempts answers the count under key, which one of the others counts, without counting: zero where there is none or its
	// window has ended.
	Attempts(ctx context.Context, key string, now time.Time) (Attempts, error)
	// ClearAttempts forgets the tries under key.
	ClearAttempts(ctx context.Context, key string) error
}
