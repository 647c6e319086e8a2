package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var credentialTests = []test{
	{"unknown is not found", func(t *T) {
		t.with("alice")
		_, err := t.Stores.Credentials.CredentialByKey(t.ctx, authcore.Wallet, "0xbob")
		t.is(err, authcore.ErrCredentialNotFound)
		all, err := t.Stores.Credentials.CredentialsOf(t.ctx, "id-bob")
		t.is(err, nil)
		same(t, all, []authcore.Credential{})
		_, c := account("bob")
		t.is(t.Stores.Credentials.UpdateCredential(t.ctx, c), authcore.ErrCredentialNotFound)
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, "id-alice", c.ID), authcore.ErrCredentialNotFound)
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), authcore.ErrUserNotFound)
		_, err = t.Stores.Credentials.CredentialByKey(t.ctx, c.Kind, c.Key)
		t.is(err, authcore.ErrCredentialNotFound)
	}},
	{"add and list, oldest first", func(t *T) {
		t.with("alice", "bob")
		_, first := alice()
		want := []authcore.Credential{first}
		added := make([]authcore.Credential, 3)
		for i := range added {
			_, c := alice()
			c.ID, c.Kind, c.Key = fmt.Sprint("z", 9-i), authcore.Passkey, fmt.Sprint("k", i)
			c.Created, c.LastUsed, c.Version = noon.Add(time.Duration(i+1)*time.Microsecond).In(elsewhere), time.Time{}, int64(i)
			added[i] = c
		}
		for _, i := range []int{2, 0, 1} {
			t.is(t.Stores.Credentials.AddCredential(t.ctx, added[i]), nil)
		}
		for _, c := range added {
			c.Created = c.Created.UTC()
			want = append(want, c)
		}
		got, err := t.Stores.Credentials.CredentialsOf(t.ctx, "id-alice")
		t.is(err, nil)
		same(t, got, want)
		if !got[1].LastUsed.IsZero() {
			t.Fatalf("LastUsed is %v", got[1].LastUsed)
		}
	}},
	{"key and kind together are unique", func(t *T) {
		t.with("alice", "bob")
		_, c := account("bob")
		c.ID = "other"
		for _, user := range []string{"id-alice", "id-bob"} {
			c.UserID = user
			t.is(t.Stores.Credentials.AddCredential(t.ctx, c), authcore.ErrCredentialInUse)
		}
		c.Kind = authcore.Passkey
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
		got, err := t.Stores.Credentials.CredentialByKey(t.ctx, authcore.Passkey, c.Key)
		t.is(err, nil)
		same(t, got, c)
		got, err = t.Stores.Credentials.CredentialByKey(t.ctx, authcore.Wallet, c.Key)
		t.is(err, nil)
		_, bobs := account("bob")
		same(t, got, bobs)
	}},
	// base64url ids of passkeys differ by case: a store that folds them signs one user in as another.
	{"keys are compared with case", func(t *T) {
		t.with("alice")
		_, c := alice()
		c.ID, c.Kind, c.Key = "lower", authcore.Passkey, "abc"
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
		_, err := t.Stores.Credentials.CredentialByKey(t.ctx, authcore.Passkey, "ABC")
		t.is(err, authcore.ErrCredentialNotFound)
		c.ID, c.Key = "upper", "ABC"
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
	}},
	{"an id that is stored is a conflict", func(t *T) {
		t.with("alice", "bob")
		_, c := account("bob")
		c.UserID, c.Key = "id-alice", "0xother"
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), authcore.ErrConflict)
		_, err := t.Stores.Credentials.CredentialByKey(t.ctx, c.Kind, "0xother")
		t.is(err, authcore.ErrCredentialNotFound)
	}},
	{"of many who add one key one gets it", func(t *T) {
		t.with("alice", "bob")
		errs := t.race(16, func(i int, s Subject) error {
			_, c := account([]string{"alice", "bob"}[i/2%2])
			c.ID, c.Key = fmt.Sprint("c", i), "0xwanted"
			return s.Stores.Credentials.AddCredential(t.ctx, c)
		})
		t.oneWins(errs, authcore.ErrCredentialInUse)
	}},
	{"update replaces name, data and last use, and nothing else", func(t *T) {
		t.with("alice", "bob")
		_, want := alice()
		want.Name, want.Data, want.LastUsed = "phone", nil, noon.Add(time.Hour)
		change := want
		change.UserID, change.Kind, change.Key, change.Created = "id-bob", authcore.Passkey, "0xstolen", noon.Add(time.Hour)
		change.LastUsed = change.LastUsed.In(elsewhere)
		t.is(t.Stores.Credentials.UpdateCredential(t.ctx, change), nil)
		got, err := t.Stores.Credentials.CredentialByKey(t.ctx, want.Kind, want.Key)
		t.is(err, nil)
		want.Version = 1
		same(t, got, want)
	}},
	{"update of what changed in the meantime is a conflict", func(t *T) {
		t.with("alice")
		_, c := alice()
		t.is(t.Stores.Credentials.UpdateCredential(t.ctx, c), nil)
		stale := c
		stale.Name = "stale"
		t.is(t.Stores.Credentials.UpdateCredential(t.ctx, stale), authcore.ErrConflict)
		stale.Version = 2
		t.is(t.Stores.Credentials.UpdateCredential(t.ctx, stale), authcore.ErrConflict)
		got, err := t.Stores.Credentials.CredentialByKey(t.ctx, c.Kind, c.Key)
		t.is(err, nil)
		c.Version = 1
		same(t, got, c)
	}},
	// A cloned passkey and the real one answer at once: the sign counter must not be written by both.
	{"of many updates at once one wins", func(t *T) {
		t.with("alice")
		errs := t.race(16, func(i int, s Subject) error {
			_, c := alice()
			c.Data = []byte{byte(i)}
			return s.Stores.Credentials.UpdateCredential(t.ctx, c)
		})
		won := t.oneWins(errs, authcore.ErrConflict)
		got, err := t.Stores.Credentials.CredentialByKey(t.ctx, authcore.Wallet, "0xalice")
		t.is(err, nil)
		same(t, got.Data, []byte{byte(won)})
	}},
	{"the last one cannot be deleted", func(t *T) {
		t.with("alice", "bob")
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, "id-alice", "cred-alice"), authcore.ErrLastCredential)
		_, c := alice()
		c.ID, c.Key = "second", "0xsecond"
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, "id-alice", "cred-alice"), nil)
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, "id-alice", "cred-alice"), authcore.ErrCredentialNotFound)
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, "id-alice", "second"), authcore.ErrLastCredential)
		got, err := t.Stores.Credentials.CredentialsOf(t.ctx, "id-alice")
		t.is(err, nil)
		same(t, got, []authcore.Credential{c})
		// What was deleted is free again.
		_, c = alice()
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
	}},
	{"nobody deletes what is somebody else's", func(t *T) {
		t.with("alice", "bob")
		_, c := account("bob")
		c.ID, c.Key = "second", "0xsecond"
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, "id-alice", "second"), authcore.ErrCredentialNotFound)
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, "id-alice", "cred-bob"), authcore.ErrCredentialNotFound)
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, "", "cred-bob"), authcore.ErrCredentialNotFound)
		got, err := t.Stores.Credentials.CredentialsOf(t.ctx, "id-bob")
		t.is(err, nil)
		if len(got) != 2 {
			t.Fatalf("%d credentials are left", len(got))
		}
	}},
	// Two requests delete the two last credentials at once: an account without any would be lost to its owner.
	{"of many deletions at once one credential is left", func(t *T) {
		t.with("alice")
		ids := []string{"cred-alice"}
		for i := range 7 {
			_, c := alice()
			c.ID, c.Key = fmt.Sprint("c", i), fmt.Sprint("0x", i)
			t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
			ids = append(ids, c.ID)
		}
		errs := t.race(len(ids), func(i int, s Subject) error {
			return s.Stores.Credentials.DeleteCredential(t.ctx, "id-alice", ids[i])
		})
		last := 0
		for _, err := range errs {
			if err != nil {
				t.is(err, authcore.ErrLastCredential)
				last++
			}
		}
		got, err := t.Stores.Credentials.CredentialsOf(t.ctx, "id-alice")
		t.is(err, nil)
		if last != 1 || len(got) != 1 {
			t.Fatalf("%d were the last one, %d are left", last, len(got))
		}
	}},
	{"what comes back is the caller's own", func(t *T) {
		t.with("alice")
		_, c := alice()
		c.ID, c.Key = "second", "0xsecond"
		t.is(t.Stores.Credentials.AddCredential(t.ctx, c), nil)
		c.Data[0] = 9
		for range 2 {
			got, err := t.Stores.Credentials.CredentialByKey(t.ctx, c.Kind, c.Key)
			t.is(err, nil)
			same(t, got.Data, []byte{0, 1, 255})
			got.Data[0] = 9
			all, err := t.Stores.Credentials.CredentialsOf(t.ctx, c.UserID)
			t.is(err, nil)
			all[0].Data[0], all[1].Data[0] = 9, 9
		}
		next := c
		next.Data = []byte{7}
		t.is(t.Stores.Credentials.UpdateCredential(t.ctx, next), nil)
		next.Data[0] = 9
		got, err := t.Stores.Credentials.CredentialByKey(t.ctx, c.Kind, c.Key)
		t.is(err, nil)
		same(t, got.Data, []byte{7})
	}},
}
