package session

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

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

func (s *shaky) EndSession(ctx context.Context, ids ...string) error {
	if s.down != nil {
		return s.down
	}
	return s.Sessions.EndSession(ctx, ids...)
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
		UserID: "u-1", Origin: "https://app.example.com", Use: authcore.MethodUse{Method: authcore.Wallet}, Cookie: cookie,
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
	verdict := want == authcore.ErrSessionNotFound || want == ErrInvalidGrant
	if verdict && errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("%s: a verdict and none: %v", what, err)
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
