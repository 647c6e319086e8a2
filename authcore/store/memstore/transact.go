package memstore

import (
	"context"
	"maps"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

// Transact implements authcore.Transactions. f works on a copy of all accounts while everybody else waits; so it must not
// ask this store but by what it is given.
func (s *Store) Transact(ctx context.Context, f func(authcore.Stores) error) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var told []authcore.Notice
	within := &Store{accounts: s.accounts.copy(), notify: func(n authcore.Notice) { told = append(told, n) }}
	// Whoever keeps the stores of a transaction beyond its end changes nothing by them.
	defer within.forget()
	stores := within.Stores()
	stores.Transactions, stores.Health = nil, nil
	if err := f(stores); err != nil {
		return err
	}
	if err := alive(ctx); err != nil {
		return err
	}
	s.accounts = within.accounts
	for _, n := range told {
		s.notify(n)
	}
	return nil
}

func (s *Store) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts, s.notify = newAccounts(), func(authcore.Notice) {}
}

func (a *accounts) copy() *accounts {
	return &accounts{
		users:         maps.Clone(a.users),
		usernames:     maps.Clone(a.usernames),
		emails:        maps.Clone(a.emails),
		credentials:   maps.Clone(a.credentials),
		credentialOf:  maps.Clone(a.credentialOf),
		sessions:      maps.Clone(a.sessions),
		confirmations: maps.Clone(a.confirmations),
		mails:         maps.Clone(a.mails),
		invites:       maps.Clone(a.invites),
		tokens:        maps.Clone(a.tokens),
		keys:          slices.Clone(a.keys),
		events:        a.events.copy(),
	}
}
