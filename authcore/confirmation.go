package authcore

import (
	"context"
	"time"
)

// ConfirmationPurpose is what a mailed key may be used for, and nothing else.
type ConfirmationPurpose string

const (
	ConfirmRegistration ConfirmationPurpose = "registration" // the subject is the address of the pending user
	ConfirmReset        ConfirmationPurpose = "reset"        // the subject is the user's id
	ConfirmEmail        ConfirmationPurpose = "email"        // the subject is the user's id
	ConfirmRecovery     ConfirmationPurpose = "recovery"     // the subject is the user's id; the key is handed over by an operator
)

// Confirmation is something that waits until the holder of a mailbox shows the key that was mailed there: a pending user,
// a new password, a new address.
type Confirmation struct {
	KeyHash [32]byte // HashSecret of the key; the key itself is never stored
	Purpose ConfirmationPurpose
	Subject string // for whom; there is one confirmation for a purpose and subject at a time
	Data    []byte // what the mechanism needs when the key comes, opaque to stores; may be nil
	Created time.Time
	Expires time.Time
}

// Recovery is what a recovery link waits with, Confirmation.Data as JSON: the link is good for as long as whoever made it may
// make one.
type Recovery struct {
	By string `json:"by"` // the id of who made the link, or Operator
}

// Confirmations keeps what waits to be confirmed.
type Confirmations interface {
	// ReplaceConfirmation stores c in place of the one of the same purpose and subject, whose key is good no more.
	ReplaceConfirmation(ctx context.Context, c Confirmation) error
	// Confirmation answers the confirmation of this key and purpose, expired or not, or ErrConfirmationNotFound.
	Confirmation(ctx context.Context, purpose ConfirmationPurpose, keyHash [32]byte) (Confirmation, error)
	// ConsumeConfirmation takes the confirmation of this key and purpose out of the store in one atomic step: of many at
	// once one gets it, all others ErrConfirmationNotFound. It answers ErrConfirmationExpired, and leaves it, from the moment
	// Expires on.
	ConsumeConfirmation(ctx context.Context, purpose ConfirmationPurpose, keyHash [32]byte, now time.Time) (Confirmation, error)
	// DeleteConfirmation deletes the confirmation of this purpose and subject; one that is not there is no error.
	DeleteConfirmation(ctx context.Context, purpose ConfirmationPurpose, subject string) error
	// DeleteExpiredConfirmations deletes those that expired at or before the given time and answers how many.
	DeleteExpiredConfirmations(ctx context.Context, before time.Time) (int, error)
}
