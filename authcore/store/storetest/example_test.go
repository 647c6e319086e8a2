package storetest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest"
)

// Audited is a store of one's own: it keeps accounts where another store keeps them, and says who was deleted. Of the
// small contracts it replaces the one it has something to add to.
type Audited struct {
	authcore.Stores
	Deleted func(userID string)
}

// auditedUsers is the contract that Audited fulfils itself.
type auditedUsers struct {
	authcore.Users
	deleted func(userID string)
}

// DeleteUser says so only after the user is gone, and answers what the store below answers, so that its callers can
// tell the cases apart.
func (u auditedUsers) DeleteUser(ctx context.Context, id string) error {
	if err := u.Users.DeleteUser(ctx, id); err != nil {
		return fmt.Errorf("audited: %w", err)
	}
	u.deleted(id)
	return nil
}

// Open answers what the gateway is given.
func (a Audited) Open() authcore.Stores {
	stores := a.Stores
	stores.Users = auditedUsers{a.Users, a.Deleted}
	return stores
}

// testAudited would be a test function of the store (TestAudited): one call, and every promise is put to the test. Each call of
// the function given opens an empty store; one on a server would empty its tables here.
var testAudited = func(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		audited := Audited{Stores: memstore.New().Stores(), Deleted: func(id string) { t.Log("deleted", id) }}
		return storetest.Subject{Stores: audited.Open()}
	})
}

// A store of one's own is a struct of small contracts, each fulfilled by whatever type is best for it, and a test that
// runs the suite on it.
func Example() {
	ctx := context.Background()
	stores := Audited{Stores: memstore.New().Stores(), Deleted: func(id string) { fmt.Println("deleted", id) }}.Open()

	alice := authcore.User{ID: "7f3a", Username: "alice"}
	wallet := authcore.Credential{ID: "c1", UserID: alice.ID, Kind: authcore.Wallet, Key: "0x52908400098527886E0F7030069857D2E4169EE7"}
	fmt.Println(stores.Users.CreateUser(ctx, alice, wallet))
	fmt.Println(stores.Users.DeleteUser(ctx, alice.ID))
	fmt.Println(stores.Users.DeleteUser(ctx, alice.ID))

	// Output:
	// <nil>
	// deleted 7f3a
	// <nil>
	// audited: memstore: user not found
}
