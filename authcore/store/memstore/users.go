package memstore

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

// CreateUser implements authcore.Users. An id that is stored already, the user's or the credential's, is ErrConflict.
func (s *Store) CreateUser(ctx context.Context, u authcore.User, first authcore.Credential) error {
	if err := alive(ctx); err != nil {
		return err
	}
	if first.UserID != u.ID {
		return errors.New("memstore: the first credential is not the new user's")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.users[u.ID]; taken {
		return refuse(authcore.ErrConflict)
	}
	if err := s.taken(u); err != nil {
		return err
	}
	if err := s.credentialFree(first); err != nil {
		return err
	}
	s.putUser(u)
	s.putCredential(first)
	return nil
}

// User implements authcore.Users.
func (s *Store) User(ctx context.Context, id string) (authcore.User, error) {
	if err := alive(ctx); err != nil {
		return authcore.User{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.users[id]
	if !ok {
		return authcore.User{}, refuse(authcore.ErrUserNotFound)
	}
	return copyUser(u), nil
}

// UserByUsername implements authcore.Users.
func (s *Store) UserByUsername(ctx context.Context, username string) (authcore.User, error) {
	if err := alive(ctx); err != nil {
		return authcore.User{}, err
	}
	folded := authcore.FoldUsername(username)
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.users[s.usernames[folded]]
	// A name the account only had before finds nobody.
	if !ok || authcore.FoldUsername(u.Username) != folded {
		return authcore.User{}, refuse(authcore.ErrUserNotFound)
	}
	return copyUser(u), nil
}

// UserByEmail implements authcore.Users.
func (s *Store) UserByEmail(ctx context.Context, email string) (authcore.User, error) {
	if err := alive(ctx); err != nil {
		return authcore.User{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.users[s.emails[email]]
	if !ok || email == "" {
		return authcore.User{}, refuse(authcore.ErrUserNotFound)
	}
	return copyUser(u), nil
}

// UpdateUser implements authcore.Users.
func (s *Store) UpdateUser(ctx context.Context, u authcore.User) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.users[u.ID]
	switch {
	case !ok:
		return refuse(authcore.ErrUserNotFound)
	case old.Version != u.Version:
		return refuse(authcore.ErrConflict)
	}
	if err := s.taken(u); err != nil {
		return err
	}
	u.Version++
	s.putUser(u)
	return nil
}

// DeleteUser implements authcore.Users. A user who is not there is ErrUserNotFound.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.users[id]
	if !ok {
		return refuse(authcore.ErrUserNotFound)
	}
	delete(s.users, id)
	delete(s.emails, u.Email)
	for cid, c := range s.credentials {
		if c.UserID == id {
			s.dropCredential(cid)
		}
	}
	maps.DeleteFunc(s.sessions, func(_ string, open authcore.Session) bool { return open.UserID == id })
	maps.DeleteFunc(s.tokens, func(_ string, t authcore.PersonalAccessToken) bool { return t.UserID == id })
	for name, owner := range s.usernames {
		if owner == id {
			s.usernames[name] = ""
		}
	}
	return nil
}

// taken says whether u's username belongs, or ever belonged, to another account, or the address belongs to one. Users
// without either do not meet, since putUser keeps no empty name and no empty address.
func (s *Store) taken(u authcore.User) error {
	if owner, ever := s.usernames[authcore.FoldUsername(u.Username)]; ever && owner != u.ID {
		return refuse(authcore.ErrUsernameTaken)
	}
	if owner, used := s.emails[u.Email]; used && owner != u.ID {
		return refuse(authcore.ErrEmailTaken)
	}
	return nil
}

func (s *Store) putUser(u authcore.User) {
	u = copyUser(u)
	u.Created = instant(u.Created)
	delete(s.emails, s.users[u.ID].Email)
	s.users[u.ID] = u
	if u.Username != "" {
		s.usernames[authcore.FoldUsername(u.Username)] = u.ID
	}
	if u.Email != "" {
		s.emails[u.Email] = u.ID
	}
}

func copyUser(u authcore.User) authcore.User {
	u.Roles = slices.Clone(u.Roles)
	return u
}
