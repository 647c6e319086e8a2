package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// provisionStores takes both stores from the pool, not open yet, and answers the name of that of the accounts.
func (a *App) provisionStores(ctx caddy.Context) (name string, err error) {
	accounts, err := a.provisionStore(ctx)
	if err != nil {
		return "", err
	}
	challenges, err := a.provisionChallengeStore(ctx)
	if err != nil {
		return "", err
	}
	if warning := mismatch(accounts, challenges); warning != "" {
		a.logger.Warn(warning)
	}
	return accounts.StoreName(), nil
}

// loadStore makes the module of the store of accounts, which opens nothing.
func (a *App) loadStore(ctx caddy.Context) (Store, error) {
	if a.StoreRaw == nil {
		a.StoreRaw = json.RawMessage(`{"backend":"sqlite"}`)
	}
	module, err := ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	store, ok := module.(Store)
	if !ok {
		return nil, fmt.Errorf("store: module %T cannot open a store", module)
	}
	if store.StoreName() == "" {
		return nil, fmt.Errorf("store: module %T does not name its store", module)
	}
	return store, nil
}

func (a *App) provisionStore(ctx caddy.Context) (Store, error) {
	store, err := a.loadStore(ctx)
	if err != nil {
		return nil, err
	}
	name := store.StoreName()
	key := poolKey{"store", name}
	if a, ok := store.(Accessed); ok {
		key.name += " " + a.StoreAccess()
	}
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		return &opening[OpenStore]{
			name: "store " + name, open: store.OpenStore, now: time.Now,
			close: func(s OpenStore) error { return closeIfAny(s.Close) },
		}, nil
	})
	if err != nil {
		return nil, err
	}
	a.released(key)
	a.accounts = value.(*opening[OpenStore])
	return store, nil
}

func (a *App) provisionChallengeStore(ctx caddy.Context) (ChallengeStore, error) {
	if a.ChallengeStoreRaw == nil {
		a.ChallengeStoreRaw = json.RawMessage(`{"backend":"memory"}`)
	}
	module, err := ctx.LoadModule(a, "ChallengeStoreRaw")
	if err != nil {
		return nil, fmt.Errorf("challenge_store: %w", err)
	}
	store, ok := module.(ChallengeStore)
	if !ok {
		return nil, fmt.Errorf("challenge_store: module %T cannot open a challenge store", module)
	}
	_, a.noticesByChallenges = store.(NoticeCarrier)
	accounts, name := a.accounts, store.StoreName()
	o := &opening[OpenChallengeStore]{
		name: "challenge store " + name, now: time.Now,
		open: func(ctx context.Context) (OpenChallengeStore, error) {
			return store.OpenChallengeStore(ctx, OpenStore{})
		},
		close: func(s OpenChallengeStore) error { return closeIfAny(s.Close) },
	}
	if name == "" {
		o.open = func(ctx context.Context) (OpenChallengeStore, error) {
			open, err := accounts.get(ctx)
			if err != nil {
				return OpenChallengeStore{}, err
			}
			return store.OpenChallengeStore(ctx, open)
		}
		a.challenges = o
		a.release = append(a.release, o.Destruct)
		return store, nil
	}
	value, _, err := pool.LoadOrNew(poolKey{"challenge store", name}, func() (caddy.Destructor, error) { return o, nil })
	if err != nil {
		return nil, err
	}
	a.released(poolKey{"challenge store", name})
	a.challenges = value.(*opening[OpenChallengeStore])
	return store, nil
}

func closeIfAny(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

// released notes that Cleanup gives back what was just taken from the pool.
func (a *App) released(key poolKey) {
	a.release = append(a.release, func() error {
		_, err := pool.Delete(key)
		return err
	})
}
