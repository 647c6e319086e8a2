package session

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cookie bool
		idle   time.Duration
		length int
	}{
		{"browser", true, 12 * time.Hour, 64},
		{"program", false, 24 * time.Hour, 90},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, store, _ := setup(t)
			got, secret := open(t, s, tt.cookie)
			want := authcore.Session{
				ID: got.ID, UserID: "u-1", Origin: "https://app.example.com", Cookie: tt.cookie, SecretHash: got.SecretHash, Refresh: got.Refresh,
				Methods: []authcore.MethodUse{{Method: authcore.Wallet, Time: start}},
				Created: start, LastSeen: start, IdleUntil: start.Add(tt.idle), Until: start.Add(7 * 24 * time.Hour),
				ClientIP: "192.0.2.1", UserAgent: "Mozilla/5.0",
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("opened %+v\nwant   %+v", got, want)
			}
			if stored, err := store.Session(t.Context(), got.ID); err != nil || !reflect.DeepEqual(stored, got) {
				t.Errorf("stored %+v, %v", stored, err)
			}
			if len(secret) != tt.length || strings.HasPrefix(secret, "agr_") == tt.cookie || strings.Contains(secret, ".") {
				t.Errorf("secret %q", secret)
			}
			if id, ok := s.SessionID(secret); !ok || id != got.ID || len(id) != 22 {
				t.Errorf("SessionID = %q, %v; want %q", id, ok, got.ID)
			}
			if tt.cookie != (got.Refresh == authcore.RefreshState{}) {
				t.Errorf("refresh state %+v", got.Refresh)
			}
		})
	}
}

// What is answered equals what is read again, whatever the clock says beyond what stores keep.
func TestTimesAreThoseOfTheStore(t *testing.T) {
	store := newStore(t)
	s := instance(store, &clock{t: start.Add(123456789).In(time.FixedZone("", 3600))})
	for _, cookie := range []bool{true, false} {
		opened, _ := open(t, s, cookie)
		if stored, err := store.Session(t.Context(), opened.ID); err != nil || !reflect.DeepEqual(stored, opened) {
			t.Errorf("opened %+v\nstored %+v, %v", opened, stored, err)
		}
	}
}

// The account was deleted while its owner signed in: no session, and that is not the store being down.
func TestOpenForDeletedUser(t *testing.T) {
	s, _, _ := setup(t)
	_, secret, err := s.Open(t.Context(), Opening{UserID: "u-gone", Cookie: true})
	wantErr(t, "Open", err, authcore.ErrUserNotFound)
	if errors.Is(err, authcore.ErrUnavailable) || secret != "" {
		t.Errorf("%q, %v", secret, err)
	}
}

// Without randomness there is no secret, and so no session.
func TestOpenWithoutRandomness(t *testing.T) {
	s, _, _ := setup(t)
	s.Rand = iotest.DataErrReader(strings.NewReader("too short"))
	if _, secret, err := s.Open(t.Context(), Opening{UserID: "u-1"}); err == nil || secret != "" {
		t.Errorf("opened with secret %q", secret)
	}
}

// A client that sends a megabyte, control characters or direction overrides about itself fills no store and deceives
// nobody who reads the list of sessions.
func TestClientTextIsBoundedAndPrintable(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux x86_64)"},
		{"umlaut", "Schlüssel 鍵", "Schlüssel 鍵"},
		{"long", strings.Repeat("a", 1<<20), strings.Repeat("a", 256)},
		{"cut between letters", strings.Repeat("a", 255) + "ü", strings.Repeat("a", 255)},
		{"control characters", "a\x00b\r\nSet-Cookie: c\x1b[31m\x7f", "abSet-Cookie: c[31m"},
		{"direction override", "a\u202eexe", "aexe"},
		{"not UTF-8", "a\xff\xc3b", "ab"},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _, _ := setup(t)
			got, _, err := s.Open(t.Context(), Opening{UserID: "u-1", UserAgent: tt.in, ClientIP: tt.in})
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{got.UserAgent, got.ClientIP} {
				if text != tt.want || len(text) > 256 || !utf8.ValidString(text) {
					t.Errorf("stored %q, want %q", text, tt.want)
				}
			}
		})
	}
}

func TestResumeMovesIdleEnd(t *testing.T) {
	s, store, c := setup(t)
	opened, secret := open(t, s, true)
	c.move(11 * time.Hour)
	got, err := s.Resume(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	want := opened
	want.LastSeen, want.IdleUntil, want.Version = c.Now(), c.Now().Add(12*time.Hour), opened.Version+1
	if !reflect.DeepEqual(got, want) {
		t.Errorf("resumed %+v\nwant    %+v", got, want)
	}
	if stored, err := store.Session(t.Context(), opened.ID); err != nil || !reflect.DeepEqual(stored, got) {
		t.Errorf("stored %+v, %v", stored, err)
	}
	// At the same moment nothing is left to move, and nothing is written.
	n := store.updates
	if _, err := s.Resume(t.Context(), secret); err != nil || store.updates != n {
		t.Errorf("%d updates, %v", store.updates-n, err)
	}
}

// However busy a session is, it ends; and an idle one ends on the moment.
func TestSessionEnds(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		s, _, c := setup(t)
		_, secret := open(t, s, true)
		c.move(12*time.Hour - time.Microsecond)
		if _, err := s.Resume(t.Context(), secret); err != nil {
			t.Error(err)
		}
		c.move(12 * time.Hour)
		_, err := s.Resume(t.Context(), secret)
		wantErr(t, "Resume", err, authcore.ErrSessionNotFound)
	})
	t.Run("absolute", func(t *testing.T) {
		s, _, c := setup(t)
		opened, secret := open(t, s, true)
		for c.move(time.Hour); c.Now().Before(opened.Until); c.move(time.Hour) {
			got, err := s.Resume(t.Context(), secret)
			if err != nil || got.IdleUntil.After(opened.Until) || !got.Until.Equal(opened.Until) {
				t.Fatalf("%v: %+v, %v", c.Now(), got, err)
			}
		}
		_, err := s.Resume(t.Context(), secret)
		wantErr(t, "Resume", err, authcore.ErrSessionNotFound)
	})
	t.Run("configured", func(t *testing.T) {
		s, _, c := setup(t)
		s.Idle, s.Absolute = time.Hour, 90*time.Minute
		opened, secret := open(t, s, true)
		if !opened.IdleUntil.Equal(start.Add(time.Hour)) || !opened.Until.Equal(start.Add(90*time.Minute)) {
			t.Errorf("opened %+v", opened)
		}
		c.move(59 * time.Minute)
		if got, err := s.Resume(t.Context(), secret); err != nil || !got.IdleUntil.Equal(got.Until) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// Signing out has to work with a session that has expired, and must not bring it back.
func TestVerifyWorksLateAndMovesNothing(t *testing.T) {
	s, store, c := setup(t)
	opened, secret := open(t, s, true)
	c.move(30 * 24 * time.Hour)
	got, err := s.Verify(t.Context(), secret)
	if err != nil || !reflect.DeepEqual(got, opened) || store.updates != 0 {
		t.Errorf("Verify = %+v, %v after %d updates", got, err, store.updates)
	}
	_, err = s.Resume(t.Context(), secret)
	wantErr(t, "Resume", err, authcore.ErrSessionNotFound)
}

// Ended is ended: by nothing does a session come back, not even by a renewal that was on its way.
func TestEndedSessionStaysEnded(t *testing.T) {
	s, store, c := setup(t)
	opened, secret := open(t, s, true)
	c.move(time.Minute)
	store.beforeUpdate = func() {
		if err := s.End(t.Context(), opened.ID); err != nil {
			t.Error(err)
		}
	}
	_, err := s.Resume(t.Context(), secret)
	wantErr(t, "Resume that was on its way", err, authcore.ErrSessionNotFound)
	_, err = s.Resume(t.Context(), secret)
	wantErr(t, "Resume", err, authcore.ErrSessionNotFound)
	_, err = s.StepUp(t.Context(), opened.ID, authcore.MethodUse{Method: authcore.Passkey})
	wantErr(t, "StepUp", err, authcore.ErrSessionNotFound)
	if err := s.End(t.Context(), opened.ID); err != nil {
		t.Errorf("End of an ended session: %v", err)
	}
}

// Many requests with one cookie at once, on several instances: nobody is signed out, and a step-up among them is not lost.
func TestResumeRace(t *testing.T) {
	s, store, c := setup(t)
	opened, secret := open(t, s, true)
	c.move(time.Minute)
	var wg sync.WaitGroup
	for n := range 20 {
		i := instance(store.Sessions, c)
		wg.Go(func() {
			var err error
			if n == 7 {
				_, err = i.StepUp(t.Context(), opened.ID, authcore.MethodUse{Method: authcore.Passkey})
			} else {
				_, err = i.Resume(t.Context(), secret)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.Verify(t.Context(), secret)
	if err != nil || len(got.Methods) != 2 || !got.LastSeen.Equal(c.Now()) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Who lost a race answers what the winner wrote, not what it read before: a step-up in between counts at once.
func TestResumeAfterLostRaceReadsAgain(t *testing.T) {
	s, store, c := setup(t)
	opened, secret := open(t, s, true)
	c.move(time.Minute)
	store.beforeUpdate = func() {
		if _, err := s.StepUp(t.Context(), opened.ID, authcore.MethodUse{Method: authcore.Passkey}); err != nil {
			t.Error(err)
		}
	}
	got, err := s.Resume(t.Context(), secret)
	if err != nil || len(got.Methods) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestStepUp(t *testing.T) {
	s, _, c := setup(t)
	opened, secret := open(t, s, true)
	c.move(time.Minute)
	got, err := s.StepUp(t.Context(), opened.ID, authcore.MethodUse{Method: authcore.Password})
	if err != nil {
		t.Fatal(err)
	}
	c.move(time.Minute)
	got, err = s.StepUp(t.Context(), got.ID, authcore.MethodUse{Method: authcore.Wallet, Time: start.Add(time.Hour)}) // a time of the caller's does not count
	want := []authcore.MethodUse{{Method: authcore.Wallet, Time: start.Add(2 * time.Minute)}, {Method: authcore.Password, Time: start.Add(time.Minute)}}
	if err != nil || !reflect.DeepEqual(got.Methods, want) || !got.AuthTime().Equal(c.Now()) {
		t.Errorf("%+v, %v", got, err)
	}
	if stored, err := s.Verify(t.Context(), secret); err != nil || !reflect.DeepEqual(stored, got) {
		t.Errorf("stored %+v, %v", stored, err)
	}
	// What is proven is kept, and what the same method proved earlier is not: a passkey whose user was verified an hour ago
	// says nothing of who touched it now.
	for _, use := range []authcore.MethodUse{
		{Method: authcore.Passkey, UserVerified: true, DeviceBound: true}, {Method: authcore.Passkey},
	} {
		got, err = s.StepUp(t.Context(), opened.ID, use)
		use.Time = c.Now()
		if err != nil || len(got.Methods) != 3 || got.Methods[2] != use {
			t.Errorf("%+v, %v; want %+v", got.Methods, err, use)
		}
	}
	// Proving something does not bring an expired session back.
	c.move(30 * 24 * time.Hour)
	_, err = s.StepUp(t.Context(), opened.ID, authcore.MethodUse{Method: authcore.Wallet})
	wantErr(t, "StepUp", err, authcore.ErrSessionNotFound)
}

// A session that was handed over ends with the one that it came from, whatever its user proves meanwhile.
func TestStepUpKeepsWhereASessionCameFrom(t *testing.T) {
	s, _, _ := setup(t)
	opened, _, err := s.Open(t.Context(), Opening{UserID: "u-1", Cookie: true, From: authcore.Session{
		ID: "at home", UserID: "u-1", Methods: []authcore.MethodUse{{Method: authcore.Wallet, Time: start}}, IdleUntil: start.Add(time.Hour), Until: start.Add(time.Hour),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.StepUp(t.Context(), opened.ID, authcore.MethodUse{Method: authcore.Wallet}); err != nil || got.From() != "at home" {
		t.Errorf("it is from %q, %v", got.From(), err)
	}
}

// A store that is down is no verdict: who took it for one would throw a good session away.
func TestStoreDown(t *testing.T) {
	s, store, c := setup(t)
	opened, cookie := open(t, s, true)
	_, refresh := open(t, s, false)
	c.move(time.Minute)
	for name, down := range map[string]error{"named": authcore.ErrUnavailable, "unnamed": errDown, "gone": context.Canceled} {
		t.Run(name, func(t *testing.T) {
			store.down = down
			_, _, openErr := s.Open(t.Context(), Opening{UserID: "u-1"})
			_, resumeErr := s.Resume(t.Context(), cookie)
			_, verifyErr := s.Verify(t.Context(), cookie)
			_, stepErr := s.StepUp(t.Context(), opened.ID, authcore.MethodUse{Method: authcore.Wallet})
			_, next, refreshErr := s.Refreshed(t.Context(), refresh)
			for what, err := range map[string]error{
				"Open": openErr, "Resume": resumeErr, "Verify": verifyErr, "StepUp": stepErr, "Refreshed": refreshErr,
				"End": s.End(t.Context(), opened.ID),
			} {
				wantErr(t, what, err, authcore.ErrUnavailable)
				wantErr(t, what, err, down)
				if errors.Is(err, authcore.ErrSessionNotFound) || errors.Is(err, ErrInvalidGrant) {
					t.Errorf("%s: a verdict: %v", what, err)
				}
			}
			if next != "" {
				t.Error("a refresh token came with the error")
			}
		})
	}
	// After recovery all goes on with what the clients have.
	store.down = nil
	if _, err := s.Resume(t.Context(), cookie); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Refreshed(t.Context(), refresh); err != nil {
		t.Error(err)
	}
}

func BenchmarkResume(b *testing.B) {
	s, _, c := setup(b)
	_, secret := open(b, s, true)
	s.Absolute = 1e6 * time.Hour
	for b.Loop() {
		c.move(time.Millisecond)
		if _, err := s.Resume(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
	}
}
