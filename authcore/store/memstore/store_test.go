package memstore_test

import (
	"testing"

	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Subject {
		s := memstore.New()
		return storetest.Subject{Stores: s.Stores(), ChallengeStores: s.ChallengeStores()}
	})
}
