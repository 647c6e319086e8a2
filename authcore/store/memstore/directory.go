package memstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

// FindUsers implements authcore.Directory. It looks at every user, which is quick enough for what fits into memory.
func (s *Store) FindUsers(ctx context.Context, q authcore.UserQuery) (authcore.UserPage, error) {
	if err := alive(ctx); err != nil {
		return authcore.UserPage{}, err
	}
	last, later, err := q.Behind()
	if err != nil {
		return authcore.UserPage{}, refuse(err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	wallets := map[string][]string{}
	for _, c := range s.credentials {
		if c.Kind == authcore.Wallet {
			wallets[c.UserID] = append(wallets[c.UserID], c.Key)
		}
	}
	type found struct {
		authcore.UserPlace
		user authcore.User
	}
	var all []found
	for _, u := range s.users {
		place, chosen := q.Place(u, wallets[u.ID])
		if chosen && !(later && q.Compare(place, last) <= 0) {
			all = append(all, found{place, u})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return q.Compare(a.UserPlace, b.UserPlace) })
	var page authcore.UserPage
	if n := cmp.Or(max(q.Limit, 0), 50); len(all) > n {
		all = all[:n]
		page.Next = q.Cursor(all[n-1].UserPlace)
	}
	for _, one := range all {
		page.Users = append(page.Users, copyUser(one.user))
	}
	return page, nil
}

// CountUsers implements authcore.Directory.
func (s *Store) CountUsers(ctx context.Context) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.users), nil
}

var _ authcore.Directory = (*Store)(nil)
