package token

import (
	"encoding/json"
	"fmt"
	"time"
)

// overlap is how long a key is published before it signs, so that whoever caches JWKS has it by then, and how long it
// stays published after its successor began to sign. It is longer than any token lives by more than clocks go wrong.
const overlap = 24 * time.Hour

// keep is how long a retired key stays in the store, where it signs and verifies nothing, but opens what was sealed with
// its secrets.
const keep = 4 * 24 * time.Hour

// keySet is what the keys of a store mean at one moment. It never changes.
type keySet struct {
	made      time.Time
	signer    *signingKey            // the one that signs now
	verifying map[string]*signingKey // those whose signatures count: coming, present, past
	published []*signingKey          // the same, oldest first
	retired   []*signingKey          // those that no living token was signed with, newest first
	forgotten []*signingKey          // those of them that open nothing any more either
	jwks      []byte
}

// newKeySet sorts keys, oldest first and at least one, by what they are good for now. All instances come to the same
// result from the same keys, so rotation needs no word between them.
func newKeySet(keys []*signingKey, now time.Time) (*keySet, error) {
	s := &keySet{made: now, verifying: make(map[string]*signingKey, len(keys))}
	// The first key signs at once: nobody can have cached an older JWKS.
	s.signer = keys[0]
	for _, k := range keys[1:] {
		if !now.Before(k.created.Add(overlap)) {
			s.signer = k
		}
	}
	replaced := false // whether a newer key has been signing for so long that this one's tokens have all expired
	for i := len(keys) - 1; i >= 0; i-- {
		k := keys[i]
		if replaced {
			s.retired = append(s.retired, k)
			if !now.Before(keys[i+1].created.Add(2*overlap + keep)) {
				s.forgotten = append(s.forgotten, k)
			}
			continue
		}
		s.published = append([]*signingKey{k}, s.published...)
		s.verifying[k.id] = k
		replaced = !now.Before(k.created.Add(2 * overlap))
	}
	public := struct {
		Keys []jwk `json:"keys"`
	}{make([]jwk, 0, len(s.published))}
	for _, k := range s.published {
		public.Keys = append(public.Keys, k.public)
	}
	var err error
	if s.jwks, err = json.Marshal(public); err != nil {
		return nil, fmt.Errorf("token: write JWKS: %w", err)
	}
	return s, nil
}

// key answers the key with this id, retired or not; nil where there is none.
func (s *keySet) key(id string) *signingKey {
	if k := s.verifying[id]; k != nil {
		return k
	}
	for _, k := range s.retired {
		if k.id == id {
			return k
		}
	}
	return nil
}

// all answers every key, oldest first.
func (s *keySet) all() []*signingKey {
	keys := make([]*signingKey, 0, len(s.retired)+len(s.published))
	for i := len(s.retired) - 1; i >= 0; i-- {
		keys = append(keys, s.retired[i])
	}
	return append(keys, s.published...)
}
