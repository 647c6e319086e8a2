package memstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

// CredentialByKey implements authcore.Credentials.
func (s *Store) CredentialByKey(ctx context.Context, kind authcore.Method, key string) (authcore.Credential, error) {
	if err := alive(ctx); err != nil {
		return authcore.Credential{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.credentials[s.credentialOf[credentialKey{kind, key}]]
	if !ok {
		return authcore.Credential{}, refuse(authcore.ErrCredentialNotFound)
	}
	return copyCredential(c), nil
}

// CredentialsOf implements authcore.Credentials.
func (s *Store) CredentialsOf(ctx context.Context, userID string) ([]authcore.Credential, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var own []authcore.Credential
	for _, c := range s.credentials {
		if c.UserID == userID {
			own = append(own, copyCredential(c))
		}
	}
	slices.SortFunc(own, func(a, b authcore.Credential) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return own, nil
}

// AddCredential implements authcore.Credentials. An id that is stored already is ErrConflict.
func (s *Store) AddCredential(ctx context.Context, c authcore.Credential) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.users[c.UserID]; !ok {
		return refuse(authcore.ErrUserNotFound)
	}
	if err := s.credentialFree(c); err != nil {
		return err
	}
	s.putCredential(c)
	return nil
}

// UpdateCredential implements authcore.Credentials.
func (s *Store) UpdateCredential(ctx context.Context, c authcore.Credential) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.credentials[c.ID]
	switch {
	case !ok:
		return refuse(authcore.ErrCredentialNotFound)
	case old.Version != c.Version:
		return refuse(authcore.ErrConflict)
	}
	old.Name, old.Data, old.LastUsed = c.Name, c.Data, c.LastUsed
	old.Version++
	s.putCredential(old)
	return nil
}

// DeleteCredential implements authcore.Credentials.
func (s *Store) DeleteCredential(ctx context.Context, userID, id string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.credentials[id]; !ok || c.UserID != userID {
		return refuse(authcore.ErrCredentialNotFound)
	}
	for other, c := range s.credentials {
		if c.UserID == userID && other != id {
			s.dropCredential(id)
			return nil
		}
	}
	return refuse(authcore.ErrLastCredential)
}

func (s *Store) credentialFree(c authcore.Credential) error {
	if _, used := s.credentialOf[credentialKey{c.Kind, c.Key}]; used {
		return refuse(authcore.ErrCredentialInUse)
	}
	if _, used := s.credentials[c.ID]; used {
		return refuse(authcore.ErrConflict)
	}
	return nil
}

func (s *Store) putCredential(c authcore.Credential) {
	c = copyCredential(c)
	c.Created, c.LastUsed = instant(c.Created), instant(c.LastUsed)
	s.credentials[c.ID] = c
	s.credentialOf[credentialKey{c.Kind, c.Key}] = c.ID
}

func (s *Store) dropCredential(id string) {
	c := s.credentials[id]
	delete(s.credentialOf, credentialKey{c.Kind, c.Key})
	delete(s.credentials, id)
}

func copyCredential(c authcore.Credential) authcore.Credential {
	c.Data = slices.Clone(c.Data)
	return c
}
