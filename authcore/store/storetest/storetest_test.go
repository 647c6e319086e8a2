package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest"
)

func TestExample(t *testing.T) { testAudited(t) }

// flawed are stores that break one promise each, and the tests of the suite that must notice.
var flawed = map[string]struct {
	flaw func(*storetest.Subject)
	want string
}{
	"none": {func(*storetest.Subject) {}, ""},
	"a challenge counts twice": {func(s *storetest.Subject) {
		s.ChallengeStores.Challenges = &rereading{Challenges: s.ChallengeStores.Challenges, kept: map[[32]byte]authcore.Challenge{}}
	}, "challenges/of_many_answers_at_once_one_counts"},
	"a challenge survives a failed try": {func(s *storetest.Subject) {
		s.ChallengeStores.Challenges = restoring{s.ChallengeStores.Challenges}
	}, "challenges/for_another_purpose,_origin_or_subject_it_is_not_found,_and_spent"},
	"a challenge is good at its last moment and after": {func(s *storetest.Subject) {
		s.ChallengeStores.Challenges = lenient{s.ChallengeStores.Challenges}
	}, "challenges/from_the_moment_it_expires_it_is_expired"},
	"attempts are read and then written": {func(s *storetest.Subject) {
		s.ChallengeStores.Attempts = &uncounted{AttemptCounter: s.ChallengeStores.Attempts, counts: map[string]authcore.Attempts{}}
	}, "attempts/many_at_once_are_all_counted"},
	"a transaction is none": {func(s *storetest.Subject) {
		s.Stores.Transactions = loose{s.Stores}
	}, "transactions/where_it_fails_half-way,_nothing_happened"},
	"an address is compared without case": {func(s *storetest.Subject) {
		s.Stores.Users = folding{s.Stores.Users}
	}, "e-mail_addresses/a_user_is_found_by_the_address,_as_it_is_written"},
	"a confirmation is read and then deleted": {func(s *storetest.Subject) {
		s.Stores.Confirmations = &peeking{Confirmations: s.Stores.Confirmations, kept: map[[32]byte]authcore.Confirmation{}}
	}, "confirmations/of_many_at_once_one_gets_it"},
	"a use of an invite is looked for and then taken": {func(s *storetest.Subject) {
		s.Stores.Invites = generous{s.Stores.Invites}
	}, "invites/of_many_at_once_one_gets_the_last_use"},
	"a mail is anybody's to delete": {func(s *storetest.Subject) {
		s.Stores.Outbox = forgetful{s.Stores.Outbox}
	}, "outbox/who_claimed_it_before_can_do_nothing_with_it"},
	"a suspension is prolonged by tries": {func(s *storetest.Subject) {
		s.ChallengeStores.Attempts = prolonging{s.ChallengeStores.Attempts}
	}, "lockouts/the_last_try_begins_the_suspension,_which_no_try_prolongs"},
	"a session comes back": {func(s *storetest.Subject) {
		s.Stores.Sessions = upserting{s.Stores.Sessions}
	}, "sessions/an_ended_session_never_comes_back"},
	"the last credential goes": {func(s *storetest.Subject) {
		s.Stores.Credentials = careless{s.Stores.Credentials}
	}, "credentials/the_last_one_cannot_be_deleted"},
	"times are local": {func(s *storetest.Subject) {
		s.Stores.Users = local{s.Stores.Users}
	}, "users/create_and_read_back"},
	"it is down and says not found": {func(s *storetest.Subject) {
		s.Stores.Users = guessing{s.Stores.Users}
	}, "accounts/a_context_that_is_over_changes_nothing"},
	"what comes back is shared": {func(s *storetest.Subject) {
		s.Stores.Users = &caching{Users: s.Stores.Users, kept: map[string]authcore.User{}}
	}, "users/what_comes_back_is_the_caller's_own"},
}

// rereading reads a challenge, and then takes it out.
type rereading struct {
	authcore.Challenges
	mu   sync.Mutex
	kept map[[32]byte]authcore.Challenge
}

func (s *rereading) CreateChallenge(ctx context.Context, c authcore.Challenge, now time.Time) error {
	err := s.Challenges.CreateChallenge(ctx, c, now)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.kept[c.ID] = c
	}
	return err
}

func (s *rereading) ConsumeChallenge(ctx context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	s.mu.Lock()
	c, ok := s.kept[id]
	s.mu.Unlock()
	if got, err := s.Challenges.ConsumeChallenge(ctx, id, want, now); err == nil || !ok {
		// The one that takes it out leaves the copy lying about, as one does who deletes afterwards.
		return got, err
	}
	return c, c.Check(want, now)
}

type restoring struct{ authcore.Challenges }

func (s restoring) ConsumeChallenge(ctx context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	binding := authcore.Binding{Purpose: authcore.PurposeWalletSignIn, Origin: "https://app.example.com", Subject: "id-alice"}
	c, err := s.Challenges.ConsumeChallenge(ctx, id, binding, now)
	if err != nil {
		return c, err
	}
	if err := c.Check(want, now); err != nil {
		return authcore.Challenge{}, errors.Join(err, s.Challenges.CreateChallenge(ctx, c, now))
	}
	return c, nil
}

type lenient struct{ authcore.Challenges }

func (s lenient) ConsumeChallenge(ctx context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	return s.Challenges.ConsumeChallenge(ctx, id, want, now.Add(-time.Microsecond))
}

type uncounted struct {
	authcore.AttemptCounter
	mu     sync.Mutex
	counts map[string]authcore.Attempts
}

func (s *uncounted) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	if err := ctx.Err(); err != nil {
		return authcore.Attempts{}, errors.Join(authcore.ErrUnavailable, err)
	}
	s.mu.Lock()
	a := s.counts[key]
	s.mu.Unlock()
	if !now.Before(a.Reset) {
		a = authcore.Attempts{Reset: now.Add(window).UTC()}
	}
	runtime.Gosched() // as any store does that waits for a disk or a network
	a.Count++
	s.mu.Lock()
	s.counts[key] = a
	s.mu.Unlock()
	return a, nil
}

func (s *uncounted) ClearAttempts(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(authcore.ErrUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.counts, key)
	return nil
}

// loose calls f with stores that do everything at once.
type loose struct{ authcore.Stores }

func (s loose) Transact(ctx context.Context, f func(authcore.Stores) error) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(authcore.ErrUnavailable, err)
	}
	stores := s.Stores
	stores.Transactions, stores.Health = nil, nil
	return f(stores)
}

type folding struct{ authcore.Users }

func (s folding) UserByEmail(ctx context.Context, email string) (authcore.User, error) {
	return s.Users.UserByEmail(ctx, strings.ToLower(email))
}

// peeking reads a confirmation, and then takes it out: who has read it before it was gone has it too.
type peeking struct {
	authcore.Confirmations
	mu   sync.Mutex
	kept map[[32]byte]authcore.Confirmation
}

func (s *peeking) ConsumeConfirmation(ctx context.Context, purpose authcore.ConfirmationPurpose, keyHash [32]byte, now time.Time) (authcore.Confirmation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.Confirmations.ConsumeConfirmation(ctx, purpose, keyHash, now)
	if err == nil {
		s.kept[keyHash] = c
	} else if c, ok := s.kept[keyHash]; ok {
		return c, nil
	}
	return c, err
}

// generous finds a use left, and lets whoever saw it in.
type generous struct{ authcore.Invites }

func (s generous) UseInvite(ctx context.Context, keyHash [32]byte, now time.Time) (authcore.Invite, error) {
	i, err := s.Invite(ctx, keyHash)
	if err != nil || !now.Before(i.Expires) {
		return s.Invites.UseInvite(ctx, keyHash, now)
	}
	runtime.Gosched() // as any store does that waits for a disk or a network
	if used, err := s.Invites.UseInvite(ctx, keyHash, now); err == nil {
		return used, nil
	}
	return i, nil
}

type forgetful struct{ authcore.Outbox }

func (s forgetful) DeleteMail(ctx context.Context, m authcore.SealedMail) error {
	for ; m.Tries < 10; m.Tries++ {
		if err := s.Outbox.DeleteMail(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

type prolonging struct{ authcore.AttemptCounter }

func (s prolonging) CountLockout(ctx context.Context, key string, l authcore.Lockout, now time.Time) (authcore.Attempts, error) {
	a, err := s.AttemptCounter.CountLockout(ctx, key, l, now)
	if a.Count > l.Tries {
		a.Reset = now.Add(l.Suspend).UTC()
	}
	return a, err
}

type upserting struct{ authcore.Sessions }

func (s upserting) UpdateSession(ctx context.Context, one authcore.Session) error {
	err := s.Sessions.UpdateSession(ctx, one)
	if errors.Is(err, authcore.ErrSessionNotFound) {
		return s.CreateSession(ctx, one)
	}
	return err
}

type careless struct{ authcore.Credentials }

func (s careless) DeleteCredential(ctx context.Context, userID, id string) error {
	all, err := s.CredentialsOf(ctx, userID)
	if err == nil && len(all) == 1 && all[0].ID == id {
		return nil // the account is without any now, for all that is known
	}
	return s.Credentials.DeleteCredential(ctx, userID, id)
}

type local struct{ authcore.Users }

func (s local) User(ctx context.Context, id string) (authcore.User, error) {
	u, err := s.Users.User(ctx, id)
	u.Created = u.Created.Local()
	return u, err
}

type guessing struct{ authcore.Users }

func (s guessing) User(ctx context.Context, id string) (authcore.User, error) {
	u, err := s.Users.User(ctx, id)
	if err != nil {
		return u, authcore.ErrUserNotFound
	}
	return u, nil
}

type caching struct {
	authcore.Users
	kept map[string]authcore.User
}

func (s *caching) User(ctx context.Context, id string) (authcore.User, error) {
	u, err := s.Users.User(ctx, id)
	if old, ok := s.kept[id]; ok && old.Version == u.Version {
		return old, err
	}
	s.kept[id] = u
	return u, err
}

const flawEnv = "STORETEST_FLAW"

// TestFlawed runs the suite on a flawed store; it is run by TestSuiteNotices in a process of its own.
func TestFlawed(t *testing.T) {
	one, ok := flawed[os.Getenv(flawEnv)]
	if !ok {
		return
	}
	storetest.Run(t, func(*testing.T) storetest.Subject {
		s := memstore.New()
		subject := storetest.Subject{Stores: s.Stores(), ChallengeStores: s.ChallengeStores()}
		one.flaw(&subject)
		return subject
	})
}

// A suite that accepts everything looks green too: each flaw must be noticed, by the test that is there for it.
func TestSuiteNotices(t *testing.T) {
	for name, one := range flawed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestFlawed$", "-test.count=1")
			cmd.Env = append(os.Environ(), flawEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if one.want == "" && err != nil {
				t.Fatalf("noticed a flaw where there is none:\n%s", out)
			}
			failed := slices.ContainsFunc(strings.Split(string(out), "\n"), func(line string) bool {
				return strings.HasPrefix(strings.TrimSpace(line), "--- FAIL: TestFlawed/"+one.want+" ")
			})
			if one.want != "" && !failed {
				t.Fatalf("it went unnoticed:\n%s", out)
			}
		})
	}
}

// A subject that keeps nothing would pass every test there is.
func TestNothingIsNoSubject(t *testing.T) {
	if os.Getenv(flawEnv) == "nothing" {
		storetest.Run(t, func(*testing.T) storetest.Subject { return storetest.Subject{} })
		return
	}
	if os.Getenv(flawEnv) == "half" {
		storetest.Run(t, func(*testing.T) storetest.Subject {
			return storetest.Subject{Stores: authcore.Stores{Users: memstore.New()}}
		})
		return
	}
	for _, what := range []string{"nothing", "half"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNothingIsNoSubject$", "-test.count=1")
		cmd.Env = append(os.Environ(), flawEnv+"="+what)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "storetest: ") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
}
