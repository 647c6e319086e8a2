package authcore

import (
	"context"
	"time"
)

// Method is a way of signing in; its text is what rules (with), sessions and headers call it.
type Method string

const (
	Passkey  Method = "passkey"
	Wallet   Method = "wallet"
	Password Method = "password"
	// ProgramKey is a plain key of a program. A Solana wallet is a Wallet.
	ProgramKey Method = "key"
)

// Credential is what a user proves possession of.
type Credential struct {
	ID     string // opaque, unique; what routes call it
	UserID string
	Kind   Method
	// Key names the credential within its kind, uniquely over all accounts: the EIP-55 address of a plain wallet,
	// eip155:<chain>:<EIP-55 address> of a contract wallet, solana:<base-58 address> of a Solana wallet, the base64url id of a
	// passkey, the user's id for a password, ed25519:<hex> or ml-dsa-65:<hex of its SHA-256> of a program's key.
	Key      string
	Name     string // given by the user; may be empty
	Data     []byte // what the mechanism of this kind keeps, opaque to stores; may be nil
	Created  time.Time
	LastUsed time.Time
	Version  int64 // changed by the store at each update, for compare-and-set
}

// Credentials keeps what users prove possession of.
type Credentials interface {
	// CredentialByKey answers the credential of this kind and key, or ErrCredentialNotFound.
	CredentialByKey(ctx context.Context, kind Method, key string) (Credential, error)
	// CredentialsOf answers the credentials of a user, oldest first; none is no error.
	CredentialsOf(ctx context.Context, userID string) ([]Credential, error)
	// AddCredential stores a further credential of an existing user: ErrCredentialInUse where kind and key are stored
	// already (whoever has them), ErrUserNotFound where the user is not.
	AddCredential(ctx context.Context, c Credential) error
	// UpdateCredential replaces Name, Data and LastUsed of the credential with the same ID where the stored Version equals
	// c.Version, and increments it. Else it answers ErrConflict or ErrCredentialNotFound.
	UpdateCredential(ctx context.Context, c Credential) error
	// DeleteCredential deletes a credential of this user: ErrCredentialNotFound where the user has none with this id,
	// ErrLastCredential where it is the user's only one. Of two at once for the last two, one gets ErrLastCredential.
	DeleteCredential(ctx context.Context, userID, id string) error
}
