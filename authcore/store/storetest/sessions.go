package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// session answers a session that is live at noon, idle after an hour and over after a day.
func session(id, userID string) authcore.Session {
	return authcore.Session{
		ID: id, UserID: userID, Origin: "https://app.example.com", Cookie: true,
		SecretHash: authcore.HashSecret("secret of " + id),
		Refresh: authcore.RefreshState{
			Current: authcore.HashSecret("current"), Previous: authcore.HashSecret("previous"), Salt: authcore.HashSecret("salt"),
			Rotated: noon.Add(time.Microsecond),
		},
		Methods: []authcore.MethodUse{
			{Method: authcore.Wallet, Time: noon, DeviceBound: true, Proof: "\x01\x00\xff any bytes", Checked: noon.Add(time.Hour)}, {Method: authcore.Passkey, Time: noon.Add(time.Second), UserVerified: true, From: "elsewhere"},
		},
		Created: noon, LastSeen: noon.Add(time.Minute), IdleUntil: noon.Add(time.Hour), Until: noon.Add(24 * time.Hour),
		ClientIP: "2001:db8::1", UserAgent: "Mozilla/5.0 (X11; Linux) é",
	}
}

// endsOf demands which sessions of a user end.
func (t *T) endsOf(userID, but string, spare int, want ...string) {
	t.Helper()
	got, err := t.Stores.Sessions.EndSessionsOf(t.ctx, userID, but, spare, noon)
	t.is(err, nil)
	slices.Sort(got)
	same(t, got, want)
}

var sessionTests = []test{
	{"create and read back", func(t *T) {
		t.with("alice")
		in := session("s", "id-alice")
		in.Created, in.LastSeen, in.IdleUntil = in.Created.In(elsewhere), in.LastSeen.In(elsewhere), in.IdleUntil.In(elsewhere)
		in.Until, in.Refresh.Rotated = in.Until.In(elsewhere), in.Refresh.Rotated.In(elsewhere)
		in.Methods[0].Time = in.Methods[0].Time.In(elsewhere)
		in.Version = 3
		t.is(t.Stores.Sessions.CreateSession(t.ctx, in), nil)
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		want := session("s", "id-alice")
		want.Version = 3
		same(t, got, want)
	}},
	{"zero values come back as they were", func(t *T) {
		t.with("alice")
		want := authcore.Session{ID: "s", UserID: "id-alice"}
		t.is(t.Stores.Sessions.CreateSession(t.ctx, want), nil)
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		same(t, got, want)
		if !got.Refresh.Rotated.IsZero() {
			t.Fatalf("Rotated is %v", got.Refresh.Rotated)
		}
	}},
	// The User-Agent is what a client sends, any bytes; it may be repaired but is no reason to refuse a sign-in.
	{"any client can be signed in", func(t *T) {
		t.with("alice")
		s := session("s", "id-alice")
		s.UserAgent = "\xff\xfe\x00 agent"
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, s), nil)
		_, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
	}},
	{"unknown is not found", func(t *T) {
		t.with("alice")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, session("s", "id-alice")), nil)
		for _, id := range []string{"t", "", "S"} {
			_, err := t.Stores.Sessions.Session(t.ctx, id)
			t.is(err, authcore.ErrSessionNotFound)
		}
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, session("t", "id-alice")), authcore.ErrSessionNotFound)
		t.is(t.Stores.Sessions.EndSession(t.ctx, "t"), nil)
		all, err := t.Stores.Sessions.SessionsOf(t.ctx, "id-bob", noon)
		t.is(err, nil)
		if len(all) != 0 {
			t.Fatalf("got %v", all)
		}
	}},
	{"an id that is stored is a conflict", func(t *T) {
		t.with("alice", "bob")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, session("s", "id-alice")), nil)
		t.is(t.Stores.Sessions.CreateSession(t.ctx, session("s", "id-bob")), authcore.ErrConflict)
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		same(t, got, session("s", "id-alice"))
	}},
	// A sign-in is on its way while the account is deleted: it must not open a session that outlives the account.
	{"nobody who is not there gets a session", func(t *T) {
		t.with("alice")
		t.is(t.Stores.Users.DeleteUser(t.ctx, "id-alice"), nil)
		t.is(t.Stores.Sessions.CreateSession(t.ctx, session("s", "id-alice")), authcore.ErrUserNotFound)
		_, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, authcore.ErrSessionNotFound)
	}},
	{"an expired session is there until it is deleted", func(t *T) {
		t.with("alice")
		s := session("s", "id-alice")
		s.IdleUntil, s.Until = noon.Add(-48*time.Hour), noon.Add(-24*time.Hour)
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		same(t, got, s)
		n, err := t.Stores.Sessions.DeleteExpiredSessions(t.ctx, noon)
		t.is(err, nil)
		same(t, n, 1)
		_, err = t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, authcore.ErrSessionNotFound)
	}},
	{"update replaces", func(t *T) {
		t.with("alice")
		s := session("s", "id-alice")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		s.SecretHash, s.Cookie, s.Methods = authcore.HashSecret("next"), false, s.Methods[:1]
		s.Refresh = authcore.RefreshState{Current: authcore.HashSecret("a"), Previous: authcore.HashSecret("b"), Salt: authcore.HashSecret("c"), Rotated: noon.Add(time.Hour)}
		s.LastSeen, s.IdleUntil, s.Until = noon.Add(2*time.Hour), noon.Add(3*time.Hour), noon.Add(4*time.Hour)
		s.ClientIP, s.UserAgent = "192.0.2.1", "curl"
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, s), nil)
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		s.Version = 1
		same(t, got, s)
		// The new times count.
		all, err := t.Stores.Sessions.SessionsOf(t.ctx, "id-alice", noon.Add(2*time.Hour))
		t.is(err, nil)
		same(t, all, []authcore.Session{s})
		n, err := t.Stores.Sessions.DeleteExpiredSessions(t.ctx, noon.Add(2*time.Hour))
		t.is(err, nil)
		same(t, n, 0)
		n, err = t.Stores.Sessions.DeleteExpiredSessions(t.ctx, noon.Add(3*time.Hour))
		t.is(err, nil)
		same(t, n, 1)
	}},
	{"update of what changed in the meantime is a conflict", func(t *T) {
		t.with("alice")
		s := session("s", "id-alice")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, s), nil)
		stale := s
		stale.ClientIP = "192.0.2.1"
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, stale), authcore.ErrConflict)
		stale.Version = 2
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, stale), authcore.ErrConflict)
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		s.Version = 1
		same(t, got, s)
	}},
	{"a session never changes hands", func(t *T) {
		t.with("alice", "bob")
		s := session("s", "id-alice")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		s.UserID = "id-bob"
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, s), authcore.ErrSessionNotFound)
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		same(t, got, session("s", "id-alice"))
	}},
	// Twenty tabs refresh one token: one lineage.
	{"of many updates at once one wins", func(t *T) {
		t.with("alice")
		s := session("s", "id-alice")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		errs := t.race(32, func(i int, sub Subject) error {
			mine := s
			mine.ClientIP = fmt.Sprint(i)
			return sub.Stores.Sessions.UpdateSession(t.ctx, mine)
		})
		won := t.oneWins(errs, authcore.ErrConflict)
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		s.ClientIP, s.Version = fmt.Sprint(won), 1
		same(t, got, s)
	}},
	{"an ended session never comes back", func(t *T) {
		t.with("alice")
		s := session("s", "id-alice")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		t.is(t.Stores.Sessions.CreateSession(t.ctx, session("other", "id-alice")), nil)
		t.is(t.Stores.Sessions.EndSession(t.ctx, "s"), nil)
		t.is(t.Stores.Sessions.EndSession(t.ctx, "s"), nil)
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, s), authcore.ErrSessionNotFound)
		_, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, authcore.ErrSessionNotFound)
		all, err := t.Stores.Sessions.SessionsOf(t.ctx, "id-alice", noon)
		t.is(err, nil)
		same(t, all, []authcore.Session{session("other", "id-alice")})
	}},
	{"many end at once, those that are not there too", func(t *T) {
		t.with("alice")
		t.is(t.Stores.Sessions.EndSession(t.ctx), nil)
		ids := []string{"never"}
		for i := range 600 {
			ids = append(ids, fmt.Sprint("s", i))
			t.is(t.Stores.Sessions.CreateSession(t.ctx, session(ids[i+1], "id-alice")), nil)
		}
		t.is(t.Stores.Sessions.CreateSession(t.ctx, session("other", "id-alice")), nil)
		t.is(t.Stores.Sessions.EndSession(t.ctx, ids...), nil)
		all, err := t.Stores.Sessions.SessionsOf(t.ctx, "id-alice", noon)
		t.is(err, nil)
		same(t, all, []authcore.Session{session("other", "id-alice")})
	}},
	{"all of a user end but one, and which is told", func(t *T) {
		t.with("alice", "bob")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, session("bobs", "id-bob")), nil)
		idle, over := session("idle", "id-alice"), session("over", "id-alice")
		idle.IdleUntil, over.Until = noon, noon
		for _, s := range []authcore.Session{session("a", "id-alice"), session("b", "id-alice"), session("c", "id-alice"), idle, over} {
			t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		}
		t.endsOf("id-alice", "b", 0, "a", "c")
		t.endsOf("id-alice", "b", 0)
		t.endsOf("id-alice", "bobs", 0, "b")
		t.endsOf("id-carol", "", 0)
		for _, id := range []string{"bobs", "idle", "over"} {
			_, err := t.Stores.Sessions.Session(t.ctx, id)
			t.is(err, nil)
		}
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, session("a", "id-alice")), authcore.ErrSessionNotFound)
	}},
	{"those used last are spared", func(t *T) {
		t.with("alice")
		for i, id := range []string{"third", "first", "second", "fourth"} { // as they were opened
			s := session(id, "id-alice")
			s.Created = noon.Add(time.Duration(i) * time.Second)
			s.LastSeen = noon.Add(map[string]time.Duration{"first": 1, "second": 2, "third": 3, "fourth": 4}[id] * time.Minute)
			t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		}
		t.endsOf("id-alice", "", 4)
		t.endsOf("id-alice", "", 1000)
		t.endsOf("id-alice", "first", 2, "second")
		t.endsOf("id-alice", "fourth", 2)
		t.endsOf("id-alice", "", 2, "first")
		// A moment is as good as another one: what was opened first stays.
		s := session("fifth", "id-alice")
		s.Created, s.LastSeen = noon.Add(time.Hour), noon.Add(4*time.Minute)
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		t.endsOf("id-alice", "", 1, "fifth", "third")
	}},
	// Twenty programs sign in with one account: each opens a session, and ends what is then too many.
	{"of many who open sessions and bound them each is let in", func(t *T) {
		t.with("alice")
		for i := range 5 {
			t.is(t.Stores.Sessions.CreateSession(t.ctx, session(fmt.Sprint("before", i), "id-alice")), nil)
		}
		for _, err := range t.race(20, func(i int, sub Subject) error {
			return sub.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
				mine := session(fmt.Sprintf("s%02d", i), "id-alice")
				mine.LastSeen = noon.Add(time.Hour)
				if err := s.Sessions.CreateSession(t.ctx, mine); err != nil {
					return err
				}
				_, err := s.Sessions.EndSessionsOf(t.ctx, "id-alice", mine.ID, 4, noon)
				return err
			})
		}) {
			t.is(err, nil)
		}
		last := session("last", "id-alice")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, last), nil)
		_, err := t.Stores.Sessions.EndSessionsOf(t.ctx, "id-alice", "last", 4, noon)
		t.is(err, nil)
		all, err := t.Stores.Sessions.SessionsOf(t.ctx, "id-alice", noon)
		t.is(err, nil)
		same(t, len(all), 5)
	}},
	{"of many who end those of a user each session is told to one", func(t *T) {
		t.with("alice")
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprintf("s%02d", i))
			t.is(t.Stores.Sessions.CreateSession(t.ctx, session(want[i], "id-alice")), nil)
		}
		told := make([][]string, 6)
		for _, err := range t.race(len(told), func(i int, sub Subject) (err error) {
			told[i], err = sub.Stores.Sessions.EndSessionsOf(t.ctx, "id-alice", "", 0, noon)
			return err
		}) {
			t.is(err, nil)
		}
		same(t, slices.Sorted(slices.Values(slices.Concat(told...))), want)
	}},
	// A renewal is on its way while the user signs out: whoever comes first, the session is over.
	{"ended while it is renewed it is over", func(t *T) {
		t.with("alice")
		for round := range 20 {
			s := session(fmt.Sprint("s", round), "id-alice")
			t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
			errs := t.race(4, func(i int, sub Subject) error {
				if i == 3 {
					return sub.Stores.Sessions.EndSession(t.ctx, s.ID)
				}
				return sub.Stores.Sessions.UpdateSession(t.ctx, s)
			})
			t.is(errs[3], nil)
			_, err := t.Stores.Sessions.Session(t.ctx, s.ID)
			t.is(err, authcore.ErrSessionNotFound)
		}
	}},
	{"those of a user are the live ones, oldest first", func(t *T) {
		t.with("alice", "bob")
		var want []authcore.Session
		for i, id := range []string{"z", "y", "x"} {
			s := session(id, "id-alice")
			s.Created = noon.Add(time.Duration(i) * time.Microsecond)
			want = append(want, s)
		}
		for _, i := range []int{1, 2, 0} {
			t.is(t.Stores.Sessions.CreateSession(t.ctx, want[i]), nil)
		}
		t.is(t.Stores.Sessions.CreateSession(t.ctx, session("bobs", "id-bob")), nil)
		idle, over := session("idle", "id-alice"), session("over", "id-alice")
		idle.IdleUntil = noon
		over.Until = noon
		t.is(t.Stores.Sessions.CreateSession(t.ctx, idle), nil)
		t.is(t.Stores.Sessions.CreateSession(t.ctx, over), nil)
		got, err := t.Stores.Sessions.SessionsOf(t.ctx, "id-alice", noon)
		t.is(err, nil)
		same(t, got, want)
		got, err = t.Stores.Sessions.SessionsOf(t.ctx, "id-alice", noon.Add(-time.Nanosecond))
		t.is(err, nil)
		same(t, len(got), 5)
	}},
	{"delete expired takes those that are not live, to the edge", func(t *T) {
		t.with("alice")
		idle, over, live := session("idle", "id-alice"), session("over", "id-alice"), session("live", "id-alice")
		idle.IdleUntil = noon
		over.Until = noon
		live.IdleUntil, live.Until = noon.Add(time.Microsecond), noon.Add(time.Microsecond)
		for _, s := range []authcore.Session{idle, over, live} {
			t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		}
		for _, step := range []struct {
			now  time.Time
			want int
		}{{noon.Add(-time.Nanosecond), 0}, {noon, 2}, {noon, 0}, {noon.Add(999 * time.Nanosecond), 0}} {
			n, err := t.Stores.Sessions.DeleteExpiredSessions(t.ctx, step.now)
			t.is(err, nil)
			same(t, n, step.want)
		}
		_, err := t.Stores.Sessions.Session(t.ctx, "live")
		t.is(err, nil)
	}},
	{"what comes back is the caller's own", func(t *T) {
		t.with("alice")
		s := session("s", "id-alice")
		t.is(t.Stores.Sessions.CreateSession(t.ctx, s), nil)
		s.Methods[0].Method = "intruder"
		for range 2 {
			got, err := t.Stores.Sessions.Session(t.ctx, "s")
			t.is(err, nil)
			same(t, got, session("s", "id-alice"))
			got.Methods[0].Method = "intruder"
			all, err := t.Stores.Sessions.SessionsOf(t.ctx, "id-alice", noon)
			t.is(err, nil)
			all[0].Methods[0].Method = "intruder"
		}
		next := session("s", "id-alice")
		t.is(t.Stores.Sessions.UpdateSession(t.ctx, next), nil)
		next.Methods[0].Method = "intruder"
		got, err := t.Stores.Sessions.Session(t.ctx, "s")
		t.is(err, nil)
		same(t, got.Methods, session("s", "").Methods)
	}},
}
