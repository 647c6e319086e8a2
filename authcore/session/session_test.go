package session

import (
	"context"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

var errDown = errors.New("connection refused")

// shaky is a store that fails, and in which others can be first.
type shaky struct {
	authcore.Sessions
	down         error  // what every method answers
	updateFails  error  // what UpdateSession answers after it has done its work
	beforeUpdate func() // called once, before the next update
	updates      int
}

func (s *shaky) CreateSession(ctx context.Context, n authcore.Session) error {
	if s.down != nil {
		return s.down
	}
	return s.Sessions.CreateSession(ctx, n)
}

func (s *shaky) Session(ctx context.Context, id string) (authcore.Session, error) {
	if s.down != nil {
		return authcore.Session{}, s.down
	}
	return s.Sessions.Session(ctx, id)
}

func (s *shaky) UpdateSession(ctx context.Context, n authcore.Session) error {
	if s.down != nil {
		return s.down
	}
	s.updates++
	if f := s.beforeUpdate; f != nil {
		s.beforeUpdate = nil
		f()
	}
	if err := s.Sessions.UpdateSession(ctx, n); err != nil {
		return err
	}
	return s.updateFails
}

func (s *shaky) EndSession(ctx context.Context, id string) error {
	if s.down != nil {
		return s.down
	}
	return s.Sessions.EndSession(ctx, id)
}

// newStore answers a store with the user u-1 in it.
func newStore(t testing.TB) *shaky {
	t.Helper()
	store := memstore.New()
	u := authcore.User{ID: "u-1", Username: "alice", Created: start}
	first := authcore.Credential{ID: "c-1", UserID: "u-1", Kind: authcore.Wallet, Key: "0x52908400098527886E0F7030069857D2E4169EE7", Created: start}
	if err := store.CreateUser(t.Context(), u, first); err != nil {
		t.Fatal(err)
	}
	return &shaky{Sessions: store}
}

func instance(store authcore.Sessions, c *clock) *Sessions {
	return &Sessions{Store: store, Now: c.Now}
}

func setup(t testing.TB) (*Sessions, *shaky, *clock) {
	t.Helper()
	store, c := newStore(t), &clock{t: start}
	return instance(store, c), store, c
}

func open(t testing.TB, s *Sessions, cookie bool) (authcore.Session, string) {
	t.Helper()
	opened, secret, err := s.Open(t.Context(), Opening{
		UserID: "u-1", Origin: "https://app.example.com", Method: authcore.Wallet, Cookie: cookie,
		ClientIP: "192.0.2.1", UserAgent: "Mozilla/5.0",
	})
	if err != nil {
		t.Fatal(err)
	}
	return opened, secret
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

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

// What a dump of the store shows is no secret: neither what the client sends nor any part of it that counts.
func TestStoreHoldsNoSecret(t *testing.T) {
	for _, cookie := range []bool{true, false} {
		s, store, c := setup(t)
		opened, secret := open(t, s, cookie)
		check := func(secret string) {
			stored, err := store.Session(t.Context(), opened.ID)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, "agr_"))
			if err != nil {
				t.Fatal(err)
			}
			held := string(stored.SecretHash[:]) + string(stored.Refresh.Current[:]) + string(stored.Refresh.Previous[:]) + string(stored.Refresh.Salt[:])
			for at := 16; at+16 <= len(raw); at++ {
				if strings.Contains(held, string(raw[at:at+16])) {
					t.Errorf("the store holds bytes %d.. of the secret", at)
				}
			}
		}
		check(secret)
		if !cookie {
			c.move(time.Minute)
			_, next, err := s.Refreshed(t.Context(), secret)
			if err != nil {
				t.Fatal(err)
			}
			check(secret)
			check(next)
		}
	}
}

func TestSecretsDiffer(t *testing.T) {
	s, _, _ := setup(t)
	seen := map[string]bool{}
	for range 100 {
		for _, cookie := range []bool{true, false} {
			opened, secret := open(t, s, cookie)
			if seen[opened.ID] || seen[secret] {
				t.Fatal("twice the same")
			}
			seen[opened.ID], seen[secret] = true, true
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

// The id of a session is public: it stands in tokens, lists and logs. With another secret it opens nothing and says no
// more than an id that never was.
func TestWrongSecret(t *testing.T) {
	s, _, _ := setup(t)
	a, secret := open(t, s, true)
	b, other := open(t, s, true)
	rawA, rawB := mustDecode(t, secret), mustDecode(t, other)
	for name, bad := range map[string]string{
		"secret of another session": encode(rawA[:16], rawB[16:]),
		"one bit":                   encode(rawA[:47], []byte{rawA[47] ^ 1}),
		"zeros":                     encode(rawA[:16], make([]byte, 32)),
		"its own hash":              encode(rawA[:16], a.SecretHash[:]),
		"unknown id":                encode(make([]byte, 16), rawA[16:]),
		"nothing":                   "",
		"id alone":                  b.ID,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Resume(t.Context(), bad)
			wantErr(t, "Resume", err, authcore.ErrSessionNotFound)
			_, err = s.Verify(t.Context(), bad)
			wantErr(t, "Verify", err, authcore.ErrSessionNotFound)
		})
	}
	if _, err := s.Resume(t.Context(), secret); err != nil {
		t.Error(err)
	}
}

// One secret has one spelling, so that nothing that counts or remembers secrets by their text is passed by.
func TestSecretHasOneSpelling(t *testing.T) {
	s, _, _ := setup(t)
	_, cookie := open(t, s, true)
	_, refresh := open(t, s, false)
	for name, bad := range map[string]string{
		"space":             cookie + " ",
		"newline":           cookie + "\n",
		"newline inside":    cookie[:9] + "\n" + cookie[9:],
		"newline in place":  cookie[:9] + "\n" + cookie[10:],
		"padding":           cookie + "=",
		"prefix of refresh": "agr_" + cookie,
		"longer":            cookie + "AAAA",
		"shorter":           cookie[:60],
		"standard alphabet": "+/" + cookie[2:],
	} {
		if _, ok := parseCookieSecret(bad); ok {
			t.Errorf("cookie, %s: accepted", name)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, refresh[len(refresh)-1])
	for name, bad := range map[string]string{
		"trailing bits":         refresh[:len(refresh)-1] + string(alphabet[last+1]),
		"newline":               refresh + "\n",
		"newline after prefix":  "agr_\n" + refresh[4:],
		"newline in place":      refresh[:9] + "\n" + refresh[10:],
		"padding":               refresh + "==",
		"no prefix":             refresh[4:],
		"prefix in upper case":  "AGR_" + refresh[4:],
		"prefix twice":          "agr_" + refresh,
		"personal access token": "agp_" + refresh[4:],
		"shorter":               refresh[:86],
		"huge":                  refresh + strings.Repeat("A", 1<<20),
	} {
		if _, ok := parseRefreshToken(bad); ok {
			t.Errorf("refresh token, %s: accepted", name)
		}
		_, _, err := s.Refreshed(t.Context(), bad)
		wantErr(t, name, err, ErrInvalidGrant)
	}
}

// Session fixation and confusion: the secret of one kind of session, in whatever form, is not good for the other.
func TestCookieAndRefreshDoNotMix(t *testing.T) {
	s, store, _ := setup(t)
	browser, cookie := open(t, s, true)
	program, refresh := open(t, s, false)
	rawCookie, rawRefresh := mustDecode(t, cookie), mustDecode(t, refresh)

	_, err := s.Resume(t.Context(), refresh)
	wantErr(t, "refresh token as cookie", err, authcore.ErrSessionNotFound)
	_, _, err = s.Refreshed(t.Context(), cookie)
	wantErr(t, "cookie as refresh token", err, ErrInvalidGrant)

	for name, secret := range map[string][]byte{
		"secret":            rawRefresh[32:],
		"family and half":   rawRefresh[16:48],
		"family padded out": append(rawRefresh[16:32:32], make([]byte, 16)...),
	} {
		_, err := s.Verify(t.Context(), encode(rawRefresh[:16], secret))
		wantErr(t, "program's session by cookie, "+name, err, authcore.ErrSessionNotFound)
	}
	_, _, err = s.Refreshed(t.Context(), "agr_"+encode(rawCookie[:32], rawCookie[16:]))
	wantErr(t, "browser's session by refresh token", err, ErrInvalidGrant)

	// Even where the hashes would fit, the kind of the session decides.
	forged := browser
	forged.SecretHash = authcore.HashSecret(string(rawRefresh[16:32]))
	forged.Refresh.Current = authcore.HashSecret(string(rawRefresh[32:]))
	if err := store.Sessions.UpdateSession(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Refreshed(t.Context(), "agr_"+encode(rawCookie[:16], rawRefresh[16:]))
	wantErr(t, "browser's session by a refresh token that fits", err, ErrInvalidGrant)
	forged = program
	forged.SecretHash = authcore.HashSecret(string(rawCookie[16:]))
	if err := store.Sessions.UpdateSession(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	_, err = s.Resume(t.Context(), encode(rawRefresh[:16], rawCookie[16:]))
	wantErr(t, "program's session by a cookie that fits", err, authcore.ErrSessionNotFound)
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
	_, err = s.StepUp(t.Context(), opened.ID, authcore.Passkey)
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
				_, err = i.StepUp(t.Context(), opened.ID, authcore.Passkey)
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
		if _, err := s.StepUp(t.Context(), opened.ID, authcore.Passkey); err != nil {
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
	got, err := s.StepUp(t.Context(), opened.ID, authcore.Password)
	if err != nil {
		t.Fatal(err)
	}
	c.move(time.Minute)
	got, err = s.StepUp(t.Context(), got.ID, authcore.Wallet)
	want := []authcore.MethodUse{{Method: authcore.Wallet, Time: start.Add(2 * time.Minute)}, {Method: authcore.Password, Time: start.Add(time.Minute)}}
	if err != nil || !reflect.DeepEqual(got.Methods, want) || !got.AuthTime().Equal(c.Now()) {
		t.Errorf("%+v, %v", got, err)
	}
	if stored, err := s.Verify(t.Context(), secret); err != nil || !reflect.DeepEqual(stored, got) {
		t.Errorf("stored %+v, %v", stored, err)
	}
	// Proving something does not bring an expired session back.
	c.move(30 * 24 * time.Hour)
	_, err = s.StepUp(t.Context(), opened.ID, authcore.Wallet)
	wantErr(t, "StepUp", err, authcore.ErrSessionNotFound)
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
			_, stepErr := s.StepUp(t.Context(), opened.ID, authcore.Wallet)
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

func mustDecode(t testing.TB, secret string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, "agr_"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func encode(parts ...[]byte) string {
	var raw []byte
	for _, p := range parts {
		raw = append(raw, p...)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Whatever is taken for a secret is the one spelling of it.
func FuzzParseSecret(f *testing.F) {
	f.Add(strings.Repeat("A", 64))
	f.Add("agr_" + strings.Repeat("A", 86))
	f.Add("agr_" + strings.Repeat("_", 86))
	f.Add(strings.Repeat("A", 62) + "\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		c, isCookie := parseCookieSecret(in)
		r, isRefresh := parseRefreshToken(in)
		if isCookie && isRefresh {
			t.Fatalf("%q is both", in)
		}
		if isCookie && encode(mustDecode(t, c.id), c.secret[:]) != in {
			t.Fatalf("cookie %q is spelled otherwise", in)
		}
		if isRefresh && r.String() != in {
			t.Fatalf("refresh token %q is spelled %q", in, r.String())
		}
		id, ok := (&Sessions{}).SessionID(in)
		if ok != (isCookie || isRefresh) || ok && len(id) != 22 {
			t.Fatalf("SessionID(%q) = %q, %v", in, id, ok)
		}
	})
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
