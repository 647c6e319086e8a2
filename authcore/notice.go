package authcore

import "context"

// NoticeKind says what a notice is about.
type NoticeKind string

const (
	NoticeSessionEnded NoticeKind = "session_ended" // the subject is the session's id
	NoticeUserChanged  NoticeKind = "user_changed"  // the subject is the user's id: roles, wallets, disabled or deleted
	NoticeKeysChanged  NoticeKind = "keys_changed"  // signing keys count no more; there is no subject
)

// Notice tells other instances that what they have cached of a subject is not so any more.
type Notice struct {
	Kind    NoticeKind
	Subject string
}

// Notices carries notices between all instances on one store.
type Notices interface {
	// Notify tells all instances, this one included. When it answers nil, the notice is not lost by anything that happens to
	// this instance, and reaches those that are connected within a second.
	Notify(ctx context.Context, n Notice) error
	// Listen tells to what is sent from now on, until ctx ends; it reconnects by itself. What was sent while it was cut off
	// it tells after it has reconnected, in order; a notice may be told twice.
	Listen(ctx context.Context, to Listener)
}

// Listener is told notices, by one goroutine.
type Listener interface {
	Heard(n Notice)
	// Missed says that notices may have been lost: what is cached of any subject may not be so any more.
	Missed()
	// Connected says whether notices arrive at present. It is told when that changes, and is false at first.
	Connected(is bool)
}
