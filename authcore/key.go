package authcore

import (
	"context"
	"time"
)

// Key is a private signing key.
type Key struct {
	ID      string // the "kid": the RFC 7638 thumbprint of the public key
	PKCS8   []byte // the private key, PKCS #8 DER
	Created time.Time
}

// Keys keeps the signing keys that all instances on one store share.
type Keys interface {
	// Keys answers all keys, oldest first.
	Keys(ctx context.Context) ([]Key, error)
	// AddKey stores k as the newest where the newest now has the id after ("" where there is none); else it answers
	// ErrConflict: somebody else was first.
	AddKey(ctx context.Context, k Key, after string) error
	// DeleteKey deletes a key; one that is not there is no error.
	DeleteKey(ctx context.Context, id string) error
}
