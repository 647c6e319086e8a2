package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func key(id string) authcore.Key {
	return authcore.Key{ID: id, PKCS8: []byte("\x00 key of " + id), Created: noon}
}

// keyIDs answers the ids of all keys, in their order.
func (t *T) keyIDs() string {
	t.Helper()
	all, err := t.Stores.Keys.Keys(t.ctx)
	t.is(err, nil)
	ids := ""
	for _, k := range all {
		ids += k.ID + " "
	}
	return ids
}

var keyTests = []test{
	{"add and read back, oldest first", func(t *T) {
		same(t, t.keyIDs(), "")
		// The order is that of adding, also where clocks of instances differ.
		a, b, c := key("c"), key("b"), key("a")
		a.Created = noon.In(elsewhere)
		b.Created = noon.Add(-time.Hour)
		t.is(t.Stores.Keys.AddKey(t.ctx, a, ""), nil)
		t.is(t.Stores.Keys.AddKey(t.ctx, b, "c"), nil)
		t.is(t.Stores.Keys.AddKey(t.ctx, c, "b"), nil)
		a.Created = noon
		got, err := t.Stores.Keys.Keys(t.ctx)
		t.is(err, nil)
		same(t, got, []authcore.Key{a, b, c})
	}},
	{"only after the newest", func(t *T) {
		t.is(t.Stores.Keys.AddKey(t.ctx, key("a"), "x"), authcore.ErrConflict)
		t.is(t.Stores.Keys.AddKey(t.ctx, key("a"), ""), nil)
		t.is(t.Stores.Keys.AddKey(t.ctx, key("b"), ""), authcore.ErrConflict)
		t.is(t.Stores.Keys.AddKey(t.ctx, key("b"), "a"), nil)
		t.is(t.Stores.Keys.AddKey(t.ctx, key("c"), "a"), authcore.ErrConflict)
		same(t, t.keyIDs(), "a b ")
	}},
	{"an id that is stored is a conflict", func(t *T) {
		t.is(t.Stores.Keys.AddKey(t.ctx, key("a"), ""), nil)
		again := key("a")
		again.PKCS8 = []byte("other")
		t.is(t.Stores.Keys.AddKey(t.ctx, again, "a"), authcore.ErrConflict)
		got, err := t.Stores.Keys.Keys(t.ctx)
		t.is(err, nil)
		same(t, got, []authcore.Key{key("a")})
	}},
	// All instances start at once on an empty store, or find at once that it is time to rotate: one new key.
	{"of many at once one is first", func(t *T) {
		after := ""
		for round := range 3 {
			errs := t.race(16, func(i int, s Subject) error {
				return s.Stores.Keys.AddKey(t.ctx, key(fmt.Sprintf("k%d-%d", round, i)), after)
			})
			won := t.oneWins(errs, authcore.ErrConflict)
			after = fmt.Sprintf("k%d-%d", round, won)
			all, err := t.Stores.Keys.Keys(t.ctx)
			t.is(err, nil)
			same(t, len(all), round+1)
			same(t, all[round].ID, after)
		}
	}},
	{"delete", func(t *T) {
		t.is(t.Stores.Keys.DeleteKey(t.ctx, "a"), nil)
		for i, id := range []string{"a", "b", "c"} {
			t.is(t.Stores.Keys.AddKey(t.ctx, key(id), []string{"", "a", "b"}[i]), nil)
		}
		t.is(t.Stores.Keys.DeleteKey(t.ctx, "b"), nil)
		same(t, t.keyIDs(), "a c ")
		t.is(t.Stores.Keys.DeleteKey(t.ctx, "c"), nil)
		t.is(t.Stores.Keys.DeleteKey(t.ctx, "c"), nil)
		// The newest is now the one before.
		t.is(t.Stores.Keys.AddKey(t.ctx, key("d"), "c"), authcore.ErrConflict)
		t.is(t.Stores.Keys.AddKey(t.ctx, key("d"), "a"), nil)
		same(t, t.keyIDs(), "a d ")
	}},
	{"what comes back is the caller's own", func(t *T) {
		k := key("a")
		t.is(t.Stores.Keys.AddKey(t.ctx, k, ""), nil)
		k.PKCS8[0] = 9
		for range 2 {
			got, err := t.Stores.Keys.Keys(t.ctx)
			t.is(err, nil)
			same(t, got, []authcore.Key{key("a")})
			got[0].PKCS8[0] = 9
			got[0].ID = "intruder"
		}
	}},
}
