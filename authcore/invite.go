package authcore

import (
	"context"
	"time"
)

// Invite lets people open an account.
type Invite struct {
	ID      string   // opaque; what routes call it
	KeyHash [32]byte // HashSecret of the key in the link, which itself is never stored
	Roles   []string // which every account that is opened with it gets
	Note    string   // for whom, in the words of who made it; may be empty
	By      string   // the id of who made it, or Operator; it is good for as long as they may make one
	Created time.Time
	Expires time.Time
	Uses    int // how many accounts may be opened with it
	Used    int // how many were
}

// Live reports whether another account may be opened with it at this moment.
func (i Invite) Live(now time.Time) bool { return i.Used < i.Uses && now.Before(i.Expires) }

// Invites keeps invites.
type Invites interface {
	// CreateInvite stores an invite. One whose id or key is stored already is ErrConflict.
	CreateInvite(ctx context.Context, i Invite) error
	// Invite answers the invite of this key, live or not, or ErrInviteNotFound.
	Invite(ctx context.Context, keyHash [32]byte) (Invite, error)
	// UseInvite counts one use in one atomic step, where the invite is live, and answers it as it is then. Of many at once no
	// more succeed than it has uses; all others get ErrInviteNotFound or ErrInviteExpired (used up counts as expired).
	UseInvite(ctx context.Context, keyHash [32]byte, now time.Time) (Invite, error)
	// InvitesOpen answers the invites that were neither revoked nor deleted, the newest first.
	InvitesOpen(ctx context.Context) ([]Invite, error)
	// RevokeInvite deletes the invite with this id: ErrInviteNotFound where there is none.
	RevokeInvite(ctx context.Context, id string) error
	// DeleteExpiredInvites deletes those that expired at or before the given time and answers how many. Those that were used
	// up stay until then, so that whoever comes too late is told so.
	DeleteExpiredInvites(ctx context.Context, before time.Time) (int, error)
}
