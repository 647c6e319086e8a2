package authcore

import (
	"context"
	"time"
)

// MethodUse says that a session was opened, or stepped up, with a method at a time, and what that proved.
type MethodUse struct {
	Method Method
	Time   time.Time
	// UserVerified says that at this very use the authenticator verified its user, by PIN or biometrics (WebAuthn Level 3
	// section 4, "user verification"). Only passkeys tell; for any other method it is false.
	UserVerified bool
	// DeviceBound says that the key used cannot leave its authenticator: a passkey that is not backup eligible. For any
	// other method it is false.
	DeviceBound bool
	// Proof is what a contract wallet said yes to, by which it is asked again while the session lives: its owners may change.
	// It is opaque bytes to all but package wallet, and empty for any other use. Tokens do not tell it.
	Proof string
	// Checked is when the wallet was asked again and said yes; zero where it was not yet.
	Checked time.Time
	// From is the id of the session in which this was proven, at another site that handed the sign-in over; empty where it was
	// proven in this session. Tokens do not tell it.
	From string
}

// Held is when what was proven was last known to hold.
func (u MethodUse) Held() time.Time {
	if u.Checked.After(u.Time) {
		return u.Checked
	}
	return u.Time
}

// Evidence reports whether rules that ask how somebody signed in may count this use. A passkey whose user was not verified
// proves that somebody has the device, not that it is its owner.
func (u MethodUse) Evidence() bool { return u.Method != Passkey || u.UserVerified }

// Session is one sign-in on one device.
type Session struct {
	ID     string // opaque, public (the "sid" of tokens); 128 random bits
	UserID string
	Origin string // where it is good: the origin it was opened on, or a domain for all hosts below it
	// Cookie tells the sessions of browsers, which are resumed by the cookie's secret, from those of programs, which are
	// continued by refresh tokens. Neither kind of secret is good for the other kind of session.
	Cookie     bool
	SecretHash [32]byte     // HashSecret of what the cookie, or every refresh token of this family, carries
	Refresh    RefreshState // zero for cookie sessions
	Methods    []MethodUse  // one entry a method, the latest use of each
	Created    time.Time
	LastSeen   time.Time
	IdleUntil  time.Time // moved on with use, never beyond Until
	Until      time.Time // the absolute end
	ClientIP   string
	UserAgent  string
	Version    int64 // changed by the store at each update, for compare-and-set
}

// RefreshState is where a family of refresh tokens stands. Only hashes and the salt are stored: the successor of a token
// is derived from the token and the salt, so it can be answered again to the holder of the token just spent, and to
// nobody else.
type RefreshState struct {
	Current  [32]byte // hash of the token that is good now
	Previous [32]byte // hash of the token just spent; zero at first
	Salt     [32]byte // derives Current from the token whose hash is Previous
	Rotated  time.Time
}

// From is the id of the session at another site that this one was handed over from, and with which it ends; empty where it
// was opened by a sign-in of its own.
func (s Session) From() string {
	for _, use := range s.Methods {
		if use.From != "" {
			return use.From
		}
	}
	return ""
}

// Live reports whether the session may still be used at this moment.
func (s Session) Live(now time.Time) bool {
	return now.Before(s.IdleUntil) && now.Before(s.Until)
}

// AuthTime is when the user last proved something, by any method.
func (s Session) AuthTime() time.Time { return latestUse(s.Methods) }

func latestUse(uses []MethodUse) time.Time {
	var t time.Time
	for _, u := range uses {
		if u.Time.After(t) {
			t = u.Time
		}
	}
	return t
}

// MostSessions bounds how many sessions a user has at once, those handed over to other sites counted. The threat: a user
// without any role opens tens of thousands, which fill the store and are more than one transaction can end when the account
// is to be disabled. Where several are opened at the same moment a few more may stay, until the next one is opened.
const MostSessions = 100

// Sessions keeps sign-ins.
type Sessions interface {
	CreateSession(ctx context.Context, s Session) error
	// Session answers the session with this id, expired or not (see Live), or ErrSessionNotFound: never opened, ended, or
	// deleted after it expired.
	Session(ctx context.Context, id string) (Session, error)
	// UpdateSession replaces the session with the same ID where the stored Version equals s.Version, and increments it. Else
	// it answers ErrConflict, or ErrSessionNotFound where it was ended in the meantime: an ended session never comes back.
	UpdateSession(ctx context.Context, s Session) error
	// EndSession deletes sessions; one that is not there is no error.
	EndSession(ctx context.Context, ids ...string) error
	// EndSessionsOf deletes the sessions of a user that are live at this moment and answers their ids, in no order: all but
	// the one with the id but, and but for as many of the others as spare says, which are those used last. Of those used at
	// the same moment, the ones opened last end first. Outside of a transaction some may end before others; those that have
	// are answered with an error, too.
	EndSessionsOf(ctx context.Context, userID, but string, spare int, now time.Time) ([]string, error)
	// SessionsOf answers the sessions of a user that are live at this moment, oldest first.
	SessionsOf(ctx context.Context, userID string, now time.Time) ([]Session, error)
	// DeleteExpiredSessions deletes the sessions that are not live at this moment and answers how many.
	DeleteExpiredSessions(ctx context.Context, now time.Time) (int, error)
}
