package token

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

var errDown = errors.New("connection refused")

// shaky is a store that can be switched off and counts what is asked of it.
type shaky struct {
	inner         authcore.Keys
	mu            sync.Mutex
	readsDown     bool
	writesDown    bool
	reads, writes int
	onRead        func() // called before each read
	onWrite       func() // called before each key is added
}

func (s *shaky) Keys(ctx context.Context) ([]authcore.Key, error) {
	if s.onRead != nil {
		s.onRead()
	}
	if err := s.ask(&s.readsDown, &s.reads); err != nil {
		return nil, err
	}
	return s.inner.Keys(ctx)
}

func (s *shaky) AddKey(ctx context.Context, k authcore.Key, after string) error {
	if s.onWrite != nil {
		s.onWrite()
	}
	if err := s.ask(&s.writesDown, &s.writes); err != nil {
		return err
	}
	return s.inner.AddKey(ctx, k, after)
}

func (s *shaky) DeleteKey(ctx context.Context, id string) error {
	if err := s.ask(&s.writesDown, &s.writes); err != nil {
		return err
	}
	return s.inner.DeleteKey(ctx, id)
}

func (s *shaky) ask(down *bool, count *int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*count++
	if *down {
		return errDown
	}
	return nil
}

func instance(store authcore.Keys, c *clock) *Issuer {
	return &Issuer{Keys: &KeyRing{Store: store, Now: c.Now}, Now: c.Now}
}

func keyIDs(t testing.TB, i *Issuer) []string {
	t.Helper()
	raw, err := i.Keys.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, k := range set.Keys {
		ids = append(ids, k.ID)
	}
	return ids
}

func signerID(t testing.TB, i *Issuer) string {
	t.Helper()
	k, err := i.Keys.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k.id
}
