package caddymodule

import (
	"context"
	"io"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
)

// Store is what a guest module in the namespace authgate.stores fulfils: it opens a store of accounts.
//
// The module has its own options (JSON and, as a caddyfile.Unmarshaler, what follows its name after "store" in the
// Caddyfile). Its Provision checks them and opens nothing: a configuration that is only validated must leave nothing
// behind.
type Store interface {
	// StoreName tells which store this is: the same store has the same name under every configuration, and another store
	// never has it. It begins with the module's name ("sqlite /var/lib/…"), appears in logs and so has no secret in it. It
	// is called after Provision.
	StoreName() string
	// OpenStore connects to the store and brings its schema up to date. It is called when the store is first needed, on a
	// failure again after a pause, and once more only after everything that it opened was closed. It may be called, and what
	// it opened is used, after the configuration of this module was replaced by one with a store of the same name; so it
	// must not depend on the caddy.Context of its Provision.
	OpenStore(ctx context.Context) (OpenStore, error)
}

// Accessed is what a [Store] fulfils too which is reached with something that may change while the store stays the same: a
// password, or how many connections there may be.
type Accessed interface {
	// StoreAccess tells what the store is reached with apart from other things, by a mark that says nothing of it. Under a
	// configuration with another one the store is opened anew, and the old connections go with the old configuration.
	StoreAccess() string
}

// OpenStore is a store that is open.
type OpenStore struct {
	authcore.Stores
	// Challenges is set where the store can keep the short-lived too, for "challenge_store sql".
	Challenges *authcore.ChallengeStores
	// Backup is set where everything in the store can be taken out of it and put into an empty one.
	Backup Backup
	// Close is called once, when no configuration uses the store any more; nil where there is nothing to close.
	Close func() error
}

// Backup takes everything out of a store, while it is in use, and fills an empty store with it, of whatever kind.
type Backup interface {
	Dump(ctx context.Context, to io.Writer, now time.Time) (sqlstore.Contents, error)
	Restore(ctx context.Context, from io.Reader) (sqlstore.Contents, error)
}

// Existing is what a [Store] fulfils too whose OpenStore makes a store where there is none. Who only reads asks first.
type Existing interface {
	StoreExists() (bool, error)
}

// ChallengeStore is what a guest module in the namespace authgate.challenge_stores fulfils: it opens a store of
// unanswered challenges and counted attempts. What [Store] says of a guest module holds for it too.
type ChallengeStore interface {
	// StoreName is as that of Store. The empty name is for a module that keeps nothing but in the store of accounts, as
	// "sql" does.
	StoreName() string
	// OpenChallengeStore is as OpenStore of Store. A module without a name is given the store of accounts, open; one with
	// a name outlives that store and is given none.
	OpenChallengeStore(ctx context.Context, accounts OpenStore) (OpenChallengeStore, error)
}

// NoticeCarrier is what a ChallengeStore fulfils too whose OpenChallengeStore always has Notices: then these carry the
// notices between instances, and those of the store of accounts do not. It is to be known before anything is open.
type NoticeCarrier interface {
	CarriesNotices()
}

// OpenChallengeStore is a store of challenges that is open.
type OpenChallengeStore struct {
	authcore.ChallengeStores
	Close func() error // as that of OpenStore
}
