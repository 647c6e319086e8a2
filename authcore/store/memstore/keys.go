package memstore

import (
	"context"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

// Keys implements authcore.Keys. Oldest first is the order in which they were added.
func (s *Store) Keys(ctx context.Context) ([]authcore.Key, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys := slices.Clone(s.keys)
	for i := range keys {
		keys[i].PKCS8 = slices.Clone(keys[i].PKCS8)
	}
	return keys, nil
}

// AddKey implements authcore.Keys. An id that is stored already is ErrConflict.
func (s *Store) AddKey(ctx context.Context, k authcore.Key, after string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := ""
	if n := len(s.keys); n > 0 {
		newest = s.keys[n-1].ID
	}
	stored := slices.ContainsFunc(s.keys, func(old authcore.Key) bool { return old.ID == k.ID })
	if stored || newest != after {
		return refuse(authcore.ErrConflict)
	}
	k.PKCS8, k.Created = slices.Clone(k.PKCS8), instant(k.Created)
	s.keys = append(s.keys, k)
	return nil
}

// DeleteKey implements authcore.Keys.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.DeleteFunc(s.keys, func(k authcore.Key) bool { return k.ID == id })
	return nil
}
