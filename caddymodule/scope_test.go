package caddymodule

import (
	"strings"
	"testing"
)

// What could not work with several instances is told, and what works is not complained of.
func TestStoresThatDoNotFit(t *testing.T) {
	var (
		file, everywhere Store          = new(SQLiteStore), remote{}
		memory, sql      ChallengeStore = new(MemoryChallengeStore), new(SQLChallengeStore)
		redis            ChallengeStore = new(RedisChallengeStore)
	)
	redis.(*RedisChallengeStore).name = "redis x"
	for _, tt := range []struct {
		name       string
		store      Store
		challenges ChallengeStore
		want       string
	}{
		{"the defaults", file, memory, ""},
		{"one file for all", file, sql, ""},
		{"accounts shared, challenges not", everywhere, memory, "challenge_store memory"},
		{"challenges shared, accounts not", file, redis, "store postgres"},
		{"both in the database", everywhere, sql, ""},
		{"both shared", everywhere, redis, ""},
	} {
		got := mismatch(tt.store, tt.challenges)
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: says %q, want %q", tt.name, got, tt.want)
		}
	}
}

// remote is a store that all machines can share.
type remote struct{ Store }
