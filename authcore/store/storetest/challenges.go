package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var binding = authcore.Binding{Purpose: authcore.PurposeWalletSignIn, Origin: "https://app.example.com", Subject: "id-alice"}

// challenge answers one that is good for a minute from noon.
func challenge(name string) authcore.Challenge {
	return authcore.Challenge{
		ID: authcore.HashSecret(name), Binding: binding, Client: "192.0.2.1", Data: []byte("\x00 data of " + name),
		Expires: noon.Add(time.Minute),
	}
}

func (t *T) ask(c authcore.Challenge) {
	t.Helper()
	t.is(t.ChallengeStores.Challenges.CreateChallenge(t.ctx, c, noon), nil)
}

func (t *T) consume(name string, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	return t.ChallengeStores.Challenges.ConsumeChallenge(t.ctx, authcore.HashSecret(name), want, now)
}

// keepsUnexpired demands that deleting what expired before now leaves what has not.
func (t *T) keepsUnexpired() {
	t.Helper()
	t.ask(challenge("a"))
	n, err := t.ChallengeStores.Challenges.DeleteExpiredChallenges(t.ctx, noon.Add(time.Minute-time.Microsecond))
	t.is(err, nil)
	same(t, n, 0)
	_, err = t.consume("a", binding, noon)
	t.is(err, nil)
}

// isChallenge demands that got is want, but for the client.
func isChallenge(t *T, got, want authcore.Challenge) {
	t.Helper()
	got.Client, want.Client = "", ""
	same(t, got, want)
}

var challengeTests = []test{
	{"ask and answer once", func(t *T) {
		in := challenge("a")
		in.Expires = in.Expires.In(elsewhere)
		t.ask(in)
		t.ask(challenge("b"))
		got, err := t.consume("a", binding, noon)
		t.is(err, nil)
		isChallenge(t, got, challenge("a"))
		_, err = t.consume("a", binding, noon)
		t.is(err, authcore.ErrChallengeNotFound)
		_, err = t.consume("b", binding, noon)
		t.is(err, nil)
	}},
	{"data of any size comes back as it was", func(t *T) {
		for _, size := range []int{0, 1, 31, 32, 33, 1000, 8192} {
			c := challenge(fmt.Sprint("size ", size))
			c.Data = slices.Repeat([]byte{0xa5}, size)
			t.ask(c)
			got, err := t.consume(fmt.Sprint("size ", size), binding, noon)
			t.is(err, nil)
			isChallenge(t, got, c)
		}
		c := authcore.Challenge{ID: [32]byte{31: 1}, Expires: noon.Add(time.Second)}
		t.ask(c)
		got, err := t.ChallengeStores.Challenges.ConsumeChallenge(t.ctx, c.ID, authcore.Binding{}, noon)
		t.is(err, nil)
		isChallenge(t, got, c)
	}},
	{"unknown is not found", func(t *T) {
		t.ask(challenge("a"))
		for _, id := range [][32]byte{{}, {1}, authcore.HashSecret("b")} {
			_, err := t.ChallengeStores.Challenges.ConsumeChallenge(t.ctx, id, binding, noon)
			t.is(err, authcore.ErrChallengeNotFound)
		}
	}},
	{"ids that differ in one bit are two", func(t *T) {
		a, b, c := challenge("a"), challenge("a"), challenge("a")
		b.ID[31] ^= 1
		b.Data = []byte("b")
		c.ID[0] ^= 128
		t.ask(a)
		t.ask(b)
		_, err := t.ChallengeStores.Challenges.ConsumeChallenge(t.ctx, c.ID, binding, noon)
		t.is(err, authcore.ErrChallengeNotFound)
		got, err := t.ChallengeStores.Challenges.ConsumeChallenge(t.ctx, b.ID, binding, noon)
		t.is(err, nil)
		same(t, string(got.Data), "b")
	}},
	{"an id that is stored is a conflict", func(t *T) {
		t.ask(challenge("a"))
		again := challenge("a")
		again.Data, again.Expires = []byte("other"), noon.Add(time.Hour)
		t.is(t.ChallengeStores.Challenges.CreateChallenge(t.ctx, again, noon), authcore.ErrConflict)
		got, err := t.consume("a", binding, noon)
		t.is(err, nil)
		isChallenge(t, got, challenge("a"))
	}},
	{"from the moment it expires it is expired", func(t *T) {
		for _, step := range []struct {
			after time.Duration
			want  error
		}{
			{time.Minute - time.Microsecond, nil},
			{time.Minute - time.Nanosecond, nil},
			{time.Minute, authcore.ErrChallengeExpired},
			{time.Hour, authcore.ErrChallengeExpired},
			{-time.Hour, nil},
		} {
			t.ask(challenge("a"))
			_, err := t.consume("a", binding, noon.Add(step.after))
			t.is(err, step.want)
			_, err = t.consume("a", binding, noon)
			t.is(err, authcore.ErrChallengeNotFound)
		}
	}},
	// A ceremony that was begun for one thing completes another one: the answers must not even tell that there is one.
	{"for another purpose, origin or subject it is not found, and spent", func(t *T) {
		for _, change := range []func(*authcore.Binding){
			func(b *authcore.Binding) { b.Purpose = "step-up" },
			func(b *authcore.Binding) { b.Purpose = "" },
			func(b *authcore.Binding) { b.Origin = "https://other.example.com" },
			func(b *authcore.Binding) { b.Origin = "https://APP.example.com" },
			func(b *authcore.Binding) { b.Subject = "id-bob" },
			func(b *authcore.Binding) { b.Subject = "" },
			func(b *authcore.Binding) { b.Origin, b.Subject = b.Origin+b.Subject, "" },
		} {
			t.ask(challenge("a"))
			want := binding
			change(&want)
			_, err := t.consume("a", want, noon)
			t.is(err, authcore.ErrChallengeNotFound)
			_, err = t.consume("a", binding, noon)
			t.is(err, authcore.ErrChallengeNotFound)
		}
	}},
	{"of many answers at once one counts", func(t *T) {
		for round := range 5 {
			name := fmt.Sprint("round ", round)
			t.ask(challenge(name))
			got := make([]authcore.Challenge, 100)
			errs := t.race(100, func(i int, s Subject) (err error) {
				got[i], err = s.ChallengeStores.Challenges.ConsumeChallenge(t.ctx, authcore.HashSecret(name), binding, noon)
				return err
			})
			won := t.oneWins(errs, authcore.ErrChallengeNotFound)
			isChallenge(t, got[won], challenge(name))
		}
	}},
	{"of many wrong answers at once one spends it", func(t *T) {
		t.ask(challenge("a"))
		want := binding
		want.Subject = "id-bob"
		for _, err := range t.race(20, func(i int, s Subject) error {
			w := want
			if i == 0 {
				w = binding
			}
			_, err := s.ChallengeStores.Challenges.ConsumeChallenge(t.ctx, authcore.HashSecret("a"), w, noon)
			return err
		}) {
			if err != nil {
				t.is(err, authcore.ErrChallengeNotFound)
			}
		}
		_, err := t.consume("a", binding, noon)
		t.is(err, authcore.ErrChallengeNotFound)
	}},
	{"of many with one id one is stored", func(t *T) {
		errs := t.race(16, func(i int, s Subject) error {
			c := challenge("a")
			c.Data = []byte{byte(i)}
			return s.ChallengeStores.Challenges.CreateChallenge(t.ctx, c, noon)
		})
		won := t.oneWins(errs, authcore.ErrConflict)
		got, err := t.consume("a", binding, noon)
		t.is(err, nil)
		same(t, got.Data, []byte{byte(won)})
	}},
	{"many ask and answer at once and nobody gets another's", func(t *T) {
		errs := t.race(32, func(i int, s Subject) error {
			for round := range 10 {
				c := challenge(fmt.Sprint(i, " ", round))
				c.Subject = fmt.Sprint("user ", i)
				if err := s.ChallengeStores.Challenges.CreateChallenge(t.ctx, c, noon); err != nil {
					return err
				}
				got, err := s.ChallengeStores.Challenges.ConsumeChallenge(t.ctx, c.ID, c.Binding, noon)
				if err != nil {
					return err
				}
				if string(got.Data) != string(c.Data) || got.Subject != c.Subject {
					return errors.New("got somebody else's challenge")
				}
			}
			return nil
		})
		for _, err := range errs {
			t.is(err, nil)
		}
	}},
	{"delete expired, to the edge", func(t *T) {
		if t.CleansItself {
			t.keepsUnexpired()
			return
		}
		for i, name := range []string{"a", "b", "c", "d"} {
			c := challenge(name)
			c.Expires = noon.Add(time.Duration(i) * time.Microsecond)
			t.ask(c)
		}
		for _, step := range []struct {
			before time.Time
			want   int
		}{
			{noon.Add(-time.Nanosecond), 0},
			{noon.Add(time.Microsecond), 2},
			{noon.Add(time.Microsecond + 999), 0},
		} {
			n, err := t.ChallengeStores.Challenges.DeleteExpiredChallenges(t.ctx, step.before)
			t.is(err, nil)
			same(t, n, step.want)
		}
		_, err := t.consume("a", binding, noon)
		t.is(err, authcore.ErrChallengeNotFound)
		_, err = t.consume("b", binding, noon)
		t.is(err, authcore.ErrChallengeNotFound)
		_, err = t.consume("c", binding, noon)
		t.is(err, nil)
		_, err = t.consume("d", binding, noon)
		t.is(err, nil)
	}},
	{"delete expired takes however many there are", func(t *T) {
		if t.CleansItself {
			return
		}
		const many = 1100 // more than any sensible batch
		for i := range many {
			c := challenge(fmt.Sprint(i))
			c.Client = fmt.Sprint("client ", i%7)
			c.Expires = noon.Add(time.Duration(i*7919%many) * time.Second)
			t.ask(c)
		}
		n, err := t.ChallengeStores.Challenges.DeleteExpiredChallenges(t.ctx, noon.Add((many-101)*time.Second))
		t.is(err, nil)
		same(t, n, many-100)
		n, err = t.ChallengeStores.Challenges.DeleteExpiredChallenges(t.ctx, noon.Add(many*time.Second))
		t.is(err, nil)
		same(t, n, 100)
	}},
	{"what is kept is the store's own", func(t *T) {
		c := challenge("a")
		t.ask(c)
		c.Data[0] = 9
		got, err := t.consume("a", binding, noon)
		t.is(err, nil)
		isChallenge(t, got, challenge("a"))
	}},
	{"a context that is over changes nothing", func(t *T) {
		over := ended(t)
		t.ask(challenge("a"))
		s := t.ChallengeStores.Challenges
		t.over(s.CreateChallenge(over, challenge("b"), noon))
		_, err := s.ConsumeChallenge(over, authcore.HashSecret("a"), binding, noon)
		t.over(err)
		_, err = s.DeleteExpiredChallenges(over, noon.Add(time.Hour))
		t.over(err)
		t.over(t.ChallengeStores.Health.Ping(over))
		t.is(t.ChallengeStores.Health.Ping(t.ctx), nil)
		if clock := t.ChallengeStores.Clock; clock != nil {
			t.clock(clock)
		}
		_, err = t.consume("a", binding, noon)
		t.is(err, nil)
		_, err = t.consume("b", binding, noon)
		t.is(err, authcore.ErrChallengeNotFound)
	}},
}
