package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// confirmation answers one that is good until an hour past noon; the key is named after the subject.
func confirmation(purpose authcore.ConfirmationPurpose, subject string) authcore.Confirmation {
	return authcore.Confirmation{
		KeyHash: authcore.HashSecret("key of " + subject), Purpose: purpose, Subject: subject,
		Data: []byte{0, 1, 255}, Created: noon, Expires: noon.Add(time.Hour),
	}
}

// expect stores confirmations.
func (t *T) expect(all ...authcore.Confirmation) {
	t.Helper()
	for _, c := range all {
		t.is(t.Stores.Confirmations.ReplaceConfirmation(t.ctx, c), nil)
	}
}

// waits demands that a confirmation is there, or with want nil that none of its key and purpose is.
func (t *T) waits(c authcore.Confirmation, is bool) {
	t.Helper()
	got, err := t.Stores.Confirmations.Confirmation(t.ctx, c.Purpose, c.KeyHash)
	if !is {
		t.is(err, authcore.ErrConfirmationNotFound)
		return
	}
	t.is(err, nil)
	same(t, got, c)
}

var confirmationTests = []test{
	{"store and read back", func(t *T) {
		c := confirmation(authcore.ConfirmRegistration, "o'brien+x@example.com")
		c.Created, c.Expires = c.Created.In(elsewhere), c.Expires.In(elsewhere)
		t.expect(c)
		c.Created, c.Expires = noon, noon.Add(time.Hour)
		t.waits(c, true)
		t.waits(c, true) // reading it takes nothing away
		bare := authcore.Confirmation{KeyHash: [32]byte{1}, Purpose: authcore.ConfirmReset, Expires: noon, Created: noon}
		t.expect(bare)
		t.waits(bare, true)
	}},
	{"what is stored is the caller's own", func(t *T) {
		c := confirmation(authcore.ConfirmReset, "id")
		t.expect(c)
		c.Data[0] = 9
		want := confirmation(authcore.ConfirmReset, "id")
		t.waits(want, true)
		got, err := t.Stores.Confirmations.Confirmation(t.ctx, c.Purpose, c.KeyHash)
		t.is(err, nil)
		got.Data[0] = 9
		t.waits(want, true)
	}},
	{"a key is good for its purpose alone", func(t *T) {
		c := confirmation(authcore.ConfirmReset, "id")
		t.expect(c)
		for _, other := range []authcore.ConfirmationPurpose{authcore.ConfirmRegistration, authcore.ConfirmEmail, ""} {
			_, err := t.Stores.Confirmations.Confirmation(t.ctx, other, c.KeyHash)
			t.is(err, authcore.ErrConfirmationNotFound)
			_, err = t.Stores.Confirmations.ConsumeConfirmation(t.ctx, other, c.KeyHash, noon)
			t.is(err, authcore.ErrConfirmationNotFound)
		}
		_, err := t.Stores.Confirmations.ConsumeConfirmation(t.ctx, c.Purpose, authcore.HashSecret("guess"), noon)
		t.is(err, authcore.ErrConfirmationNotFound)
		t.waits(c, true)
	}},
	// Keys of an earlier registration die with a newer one.
	{"a newer one takes the place of the older", func(t *T) {
		older := confirmation(authcore.ConfirmRegistration, "alice@example.com")
		newer := older
		newer.KeyHash, newer.Data, newer.Expires = authcore.HashSecret("newer"), nil, noon.Add(2*time.Hour)
		other := confirmation(authcore.ConfirmRegistration, "bob@example.com")
		elsewise := confirmation(authcore.ConfirmEmail, "alice@example.com")
		elsewise.KeyHash = authcore.HashSecret("elsewise")
		t.expect(older, other, elsewise, newer)
		t.waits(older, false)
		_, err := t.Stores.Confirmations.ConsumeConfirmation(t.ctx, older.Purpose, older.KeyHash, noon)
		t.is(err, authcore.ErrConfirmationNotFound)
		t.waits(newer, true)
		t.waits(other, true)
		t.waits(elsewise, true)
		// The same again changes nothing.
		t.expect(newer)
		t.waits(newer, true)
	}},
	{"a key is one subject's", func(t *T) {
		c := confirmation(authcore.ConfirmReset, "id-alice")
		t.expect(c)
		stolen := c
		stolen.Subject = "id-bob"
		t.is(t.Stores.Confirmations.ReplaceConfirmation(t.ctx, stolen), authcore.ErrConflict)
		t.waits(c, true)
	}},
	{"it is consumed once", func(t *T) {
		c := confirmation(authcore.ConfirmReset, "id")
		t.expect(c)
		got, err := t.Stores.Confirmations.ConsumeConfirmation(t.ctx, c.Purpose, c.KeyHash, noon)
		t.is(err, nil)
		same(t, got, c)
		_, err = t.Stores.Confirmations.ConsumeConfirmation(t.ctx, c.Purpose, c.KeyHash, noon)
		t.is(err, authcore.ErrConfirmationNotFound)
		t.waits(c, false)
	}},
	{"from the moment it expires it is expired, and stays", func(t *T) {
		c := confirmation(authcore.ConfirmReset, "id")
		t.expect(c)
		for _, late := range []time.Time{c.Expires, c.Expires.Add(time.Nanosecond), c.Expires.Add(time.Hour).In(elsewhere)} {
			_, err := t.Stores.Confirmations.ConsumeConfirmation(t.ctx, c.Purpose, c.KeyHash, late)
			t.is(err, authcore.ErrConfirmationExpired)
		}
		t.waits(c, true)
		_, err := t.Stores.Confirmations.ConsumeConfirmation(t.ctx, c.Purpose, c.KeyHash, c.Expires.Add(-time.Nanosecond))
		t.is(err, nil)
	}},
	// The link is pressed twice, or by two people who read the mailbox, on several instances: it counts once.
	{"of many at once one gets it", func(t *T) {
		for round := range 5 {
			c := confirmation(authcore.ConfirmReset, fmt.Sprint("id-", round))
			t.expect(c)
			errs := t.race(16, func(_ int, s Subject) error {
				_, err := s.Stores.Confirmations.ConsumeConfirmation(t.ctx, c.Purpose, c.KeyHash, noon)
				return err
			})
			t.oneWins(errs, authcore.ErrConfirmationNotFound)
		}
	}},
	{"of many that replace one another one is left", func(t *T) {
		const many = 16
		made := func(i int) authcore.Confirmation {
			c := confirmation(authcore.ConfirmRegistration, "alice@example.com")
			c.KeyHash = authcore.HashSecret(fmt.Sprint(i))
			return c
		}
		for _, err := range t.race(many, func(i int, s Subject) error {
			return s.Stores.Confirmations.ReplaceConfirmation(t.ctx, made(i))
		}) {
			t.is(err, nil)
		}
		left := 0
		for i := range many {
			if _, err := t.Stores.Confirmations.Confirmation(t.ctx, authcore.ConfirmRegistration, made(i).KeyHash); err == nil {
				left++
			}
		}
		same(t, left, 1)
	}},
	{"delete", func(t *T) {
		c := confirmation(authcore.ConfirmReset, "id")
		other := confirmation(authcore.ConfirmEmail, "id")
		other.KeyHash = authcore.HashSecret("other")
		t.expect(c, other)
		for range 2 { // one that is not there is no error
			t.is(t.Stores.Confirmations.DeleteConfirmation(t.ctx, c.Purpose, c.Subject), nil)
		}
		t.waits(c, false)
		t.waits(other, true)
	}},
	{"delete expired, to the edge and however many there are", func(t *T) {
		const many = 1100 // more than any sensible batch
		last := confirmation(authcore.ConfirmReset, "last")
		last.Expires = noon.Add(time.Hour + time.Microsecond)
		t.expect(last)
		for i := range many {
			t.expect(confirmation(authcore.ConfirmReset, fmt.Sprint(i)))
		}
		n, err := t.Stores.Confirmations.DeleteExpiredConfirmations(t.ctx, noon.Add(time.Hour-time.Microsecond))
		t.is(err, nil)
		same(t, n, 0)
		n, err = t.Stores.Confirmations.DeleteExpiredConfirmations(t.ctx, noon.Add(time.Hour))
		t.is(err, nil)
		same(t, n, many)
		t.waits(last, true)
	}},
	{"a context that is over changes nothing", func(t *T) {
		over, s := ended(t), t.Stores.Confirmations
		c := confirmation(authcore.ConfirmReset, "id")
		t.expect(c)
		newer := c
		newer.KeyHash = authcore.HashSecret("newer")
		t.over(s.ReplaceConfirmation(over, newer))
		_, err := s.Confirmation(over, c.Purpose, c.KeyHash)
		t.over(err)
		_, err = s.ConsumeConfirmation(over, c.Purpose, c.KeyHash, noon)
		t.over(err)
		t.over(s.DeleteConfirmation(over, c.Purpose, c.Subject))
		_, err = s.DeleteExpiredConfirmations(over, noon.Add(2*time.Hour))
		t.over(err)
		t.waits(c, true)
	}},
}
