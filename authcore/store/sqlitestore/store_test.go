package sqlitestore_test

import (
	"path/filepath"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest"
)

func open(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Two handles on one file, as two instances have: every race of the suite is run over both.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		path := filepath.Join(t.TempDir(), "test.db")
		a, b := open(t, path), open(t, path)
		return storetest.Subject{
			Stores: a.Stores(), ChallengeStores: a.ChallengeStores(),
			Peer: &storetest.Subject{Stores: b.Stores(), ChallengeStores: b.ChallengeStores()},
		}
	})
}
