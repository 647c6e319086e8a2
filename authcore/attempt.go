package authcore

import (
	"context"
	"time"
)

// Attempts is a count of tries within a window.
type Attempts struct {
	Count int       // the try just counted included
	Reset time.Time // when the window ends and counting begins anew
}

// AttemptCounter counts tries, for rate limits and lockouts.
type AttemptCounter interface {
	// CountAttempt counts one try under key, in one atomic step, and answers the count in its window. The window begins with
	// the first try and is not prolonged by further ones.
	CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (Attempts, error)
	// ClearAttempts forgets the tries under key.
	ClearAttempts(ctx context.Context, key string) error
}
