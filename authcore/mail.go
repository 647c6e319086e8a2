package authcore

import (
	"context"
	"time"
)

// MailKind says what a mail is about.
type MailKind string

const (
	MailConfirm         MailKind = "confirm"          // somebody registered with this address: Link confirms it
	MailRegistered      MailKind = "registered"       // somebody registered with an address that has an account already
	MailReset           MailKind = "reset"            // Link sets a new password
	MailNoPassword      MailKind = "no_password"      // a new password was asked for, for an account that has none
	MailSuspended       MailKind = "suspended"        // password sign-in is suspended, until Until
	MailPasswordChanged MailKind = "password_changed" // or set for the first time
	MailConfirmEmail    MailKind = "confirm_email"    // to the new address: Link confirms it
	MailEmailChanged    MailKind = "email_changed"    // to the old address; Email is the new one
	MailMethodAdded     MailKind = "method_added"     // Method and Label tell which
	MailMethodRemoved   MailKind = "method_removed"
	MailRecovery        MailKind = "recovery"       // somebody made a link for the user to add a way to sign in, good until Until
	MailTokenCreated    MailKind = "token_created"  // a personal access token was made: Label is its name, Until its end
	MailTokenDeleted    MailKind = "token_deleted"  // an administrator deleted a personal access token: Label is its name
	MailDisabled        MailKind = "disabled"       // an administrator disabled the account
	MailEnabled         MailKind = "enabled"        // an administrator enabled the account again
	MailDeleted         MailKind = "deleted"        // an administrator deleted the account
	MailRoleGranted     MailKind = "role_granted"   // an administrator gave the account a role: Label
	MailRoleRevoked     MailKind = "role_revoked"   // an administrator took a role away from the account: Label
	MailSessionsEnded   MailKind = "sessions_ended" // an administrator ended one or all sessions of the account
	// MailDecoy is never sent. It is written where there is nobody to write to, so that whoever asked sees the same work.
	MailDecoy MailKind = "decoy"
)

// Mail is what is to be told to somebody. It has no words yet: those are chosen when it is sent.
type Mail struct {
	Kind      MailKind
	To        string    // the address, in its one form; empty for a decoy
	Name      string    // of the user; may be empty
	Origin    string    // of the site, "https://app.example.com"
	Link      string    // with its key in the fragment; empty where there is nothing to press
	Expires   time.Time // when the link is good no more, and the mail not worth sending; zero without a link
	Time      time.Time // when it happened
	Client    string    // the address of the client that caused it
	UserAgent string    // what that client says it is; cut short
	Method    Method    // of MailMethodAdded and MailMethodRemoved
	Label     string    // its name, or what else tells it; of those of tokens and roles too
	Email     string    // the new address, of MailEmailChanged
	Until     time.Time // of MailSuspended, MailRecovery and MailTokenCreated, where zero is never
}

// SealedMail is a mail in the outbox. What it says can be read by who has the signing keys, and goes with the sending.
type SealedMail struct {
	ID      string // 128 random bits; also names the message to mail servers, so that one sent twice can be told
	Sealed  []byte
	Created time.Time
	Due     time.Time // when it may be sent, or tried again
	Tries   int       // how often it was claimed
}

// Outbox keeps mails until they are sent.
type Outbox interface {
	// AddMail stores a mail, due at m.Due.
	AddMail(ctx context.Context, m SealedMail) error
	// ClaimMails answers up to n mails that are due, those first that were due first, and makes them due again only at
	// until, in one atomic step: of many instances one gets each. Tries counts the claim.
	ClaimMails(ctx context.Context, n int, now, until time.Time) ([]SealedMail, error)
	// DeferMail makes a claimed mail due at the given time instead, where it was not claimed by somebody else since (m.Tries
	// is what tells), else it does nothing.
	DeferMail(ctx context.Context, m SealedMail, due time.Time) error
	// DeleteMail deletes a claimed mail, where it was not claimed by somebody else since, else it does nothing.
	DeleteMail(ctx context.Context, m SealedMail) error
	// MailWaiting answers how many mails there are, and since when the oldest of them waits; the zero time where there is none.
	MailWaiting(ctx context.Context) (n int, oldest time.Time, err error)
}
