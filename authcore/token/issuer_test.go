package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/golang-jwt/jwt/v5"
)

const origin = "https://app.example.com"

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: start} }

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

func newIssuer(c *clock) *Issuer {
	return &Issuer{Keys: &KeyRing{Store: memstore.New(), Now: c.Now}, Now: c.Now}
}

func alice() *authcore.Identity {
	return &authcore.Identity{
		Subject:   "u-1",
		SessionID: "s-1",
		Username:  "alice",
		Name:      "Alice <Ä> \"Q\"",
		Email:     "alice@example.com",
		Roles:     []string{"admin", "editor"},
		Wallets:   []string{"0x52908400098527886E0F7030069857D2E4169EE7", "eip155:10:0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
		Methods: []authcore.MethodUse{
			{Method: authcore.Wallet, Time: start.Add(-time.Hour)},
			{Method: authcore.Password, Time: start.Add(-time.Minute)},
		},
	}
}

func access(t testing.TB, i *Issuer, id *authcore.Identity) string {
	t.Helper()
	tok, _, err := i.Access(t.Context(), origin, []string{origin}, id)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func claimsOf(t testing.TB, tok string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(tok, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// passkeyUse is somebody who signed in with a passkey after a wallet.
func passkeyUse(verified, bound bool) *authcore.Identity {
	return &authcore.Identity{Subject: "u-3", SessionID: "s-3", Methods: []authcore.MethodUse{
		{Method: authcore.Wallet, Time: start.Add(-time.Minute)},
		{Method: authcore.Passkey, Time: start, UserVerified: verified, DeviceBound: bound},
	}}
}

func TestAccessRoundTrip(t *testing.T) {
	short := &authcore.Identity{Subject: "u-2", SessionID: "s-2", Methods: []authcore.MethodUse{{Method: authcore.Passkey, Time: start}}}
	for _, tt := range []struct {
		name string
		id   *authcore.Identity
	}{
		{"everything", alice()},
		{"nothing but what must be", short},
		{"passkey of a device", passkeyUse(true, true)},
		{"synced passkey", passkeyUse(true, false)},
		{"passkey of a device, its user not verified", passkeyUse(false, true)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newIssuer(newClock())
			tok, expires, err := i.Access(t.Context(), origin, []string{origin, "https://b.example.com"}, tt.id)
			if err != nil {
				t.Fatal(err)
			}
			access, err := i.VerifyAccess(t.Context(), tok, []string{"https://b.example.com"})
			got, verified := access.Identity, access.Expires
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.id) {
				t.Errorf("identity came back as %+v, want %+v", got, tt.id)
			}
			if want := start.Add(5 * time.Minute); !expires.Equal(want) || !verified.Equal(want) {
				t.Errorf("expires %v, %v; want %v", expires, verified, want)
			}
		})
	}
}

// The claims are what external verifiers and backends are promised.
func TestAccessClaims(t *testing.T) {
	got := claimsOf(t, access(t, newIssuer(newClock()), alice()))
	jti, _ := got["jti"].(string)
	if len(jti) != 22 {
		t.Errorf("jti %q does not have 128 bits", jti)
	}
	delete(got, "jti")
	unix := func(t time.Time) any { return float64(t.Unix()) }
	want := map[string]any{
		"iss": origin, "aud": origin, "sub": "u-1", "client_id": origin, "sid": "s-1",
		"iat": unix(start), "exp": unix(start.Add(5 * time.Minute)), "auth_time": unix(start.Add(-time.Minute)),
		"roles": []any{"admin", "editor"}, "amr": []any{"mfa", "pop", "pwd"}, "methods": []any{"wallet", "password"},
		"method_times":       map[string]any{"wallet": unix(start.Add(-time.Hour)), "password": unix(start.Add(-time.Minute))},
		"preferred_username": "alice", "name": "Alice <Ä> \"Q\"", "email": "alice@example.com",
		"wallets": []any{"0x52908400098527886E0F7030069857D2E4169EE7", "eip155:10:0x8617E340B3D01FA5F11F306F4090FD50E238070D"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("claims %v\nwant   %v", got, want)
	}
}

func TestAbsentValueIsAbsentClaim(t *testing.T) {
	id := &authcore.Identity{Subject: "u", SessionID: "s", Roles: []string{}, Wallets: []string{}, Methods: []authcore.MethodUse{{Method: authcore.Wallet, Time: start}}}
	got := slices.Sorted(maps.Keys(claimsOf(t, access(t, newIssuer(newClock()), id))))
	want := []string{"amr", "aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "method_times", "methods", "sid", "sub"}
	if !slices.Equal(got, want) {
		t.Errorf("claims %v, want %v", got, want)
	}
}

func TestAssertionClaims(t *testing.T) {
	tok, expires, err := newIssuer(newClock()).Assertion(t.Context(), origin, alice())
	if err != nil {
		t.Fatal(err)
	}
	if want := start.Add(120 * time.Second); !expires.Equal(want) {
		t.Errorf("expires %v, want %v", expires, want)
	}
	got := claimsOf(t, tok)
	delete(got, "jti")
	want := map[string]any{
		"iss": origin, "aud": origin, "sub": "u-1", "sid": "s-1", "roles": []any{"admin", "editor"}, "amr": []any{"mfa", "pop", "pwd"},
		"auth_time": float64(start.Add(-time.Minute).Unix()), "iat": float64(start.Unix()), "exp": float64(start.Unix() + 120),
		"preferred_username": "alice", "name": "Alice <Ä> \"Q\"", "email": "alice@example.com",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("claims %v\nwant   %v", got, want)
	}
}

// Backends verify with ordinary libraries and the published keys; the strictness here must not shut them out.
func TestOrdinaryVerifierAccepts(t *testing.T) {
	c := newClock()
	i := newIssuer(c)
	assertion, _, err := i.Assertion(t.Context(), origin, alice())
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range []string{access(t, i, alice()), assertion} {
		parsed, err := jwt.Parse(tok, func(tok *jwt.Token) (any, error) {
			k, err := i.Keys.verifier(context.Background(), tok.Header["kid"].(string))
			if err != nil {
				return nil, err
			}
			return &k.private.PublicKey, nil
		}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(origin), jwt.WithIssuer(origin), jwt.WithTimeFunc(c.Now), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding())
		if err != nil || !parsed.Valid {
			t.Errorf("%v", err)
		}
	}
}

func TestAccessRefusesIncompleteIdentity(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*authcore.Identity)
	}{
		{"no subject", func(id *authcore.Identity) { id.Subject = "" }},
		{"no session", func(id *authcore.Identity) { id.SessionID = "" }},
		{"no method", func(id *authcore.Identity) { id.Methods = nil }},
		{"method twice", func(id *authcore.Identity) { id.Methods = append(id.Methods, id.Methods[0]) }},
		{"method without name", func(id *authcore.Identity) { id.Methods[0].Method = "" }},
		{"method without time", func(id *authcore.Identity) { id.Methods[0].Time = time.Time{} }},
		// Two roles that differ in invalid bytes would become one and the same U+FFFD.
		{"role not UTF-8", func(id *authcore.Identity) { id.Roles = []string{"a\xff"} }},
		{"wallet not UTF-8", func(id *authcore.Identity) { id.Wallets = []string{"a\xff"} }},
		{"larger than any token may be", func(id *authcore.Identity) { id.Name = strings.Repeat("n", maxSize) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := alice()
			tt.change(id)
			if tok, _, err := newIssuer(newClock()).Access(t.Context(), origin, []string{origin}, id); err == nil {
				t.Errorf("signed %q", tok)
			}
		})
	}
	for name, audience := range map[string][]string{"no audience": nil, "empty audience": {origin, ""}} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := newIssuer(newClock()).Access(t.Context(), origin, audience, alice()); err == nil {
				t.Error("signed")
			}
		})
	}
}

// An instance whose clock is behind gets a session that another one opened "later": the token must not claim a sign-in in
// its own future, and must not be refused for it either.
func TestMethodTimeIsNeverAfterIssue(t *testing.T) {
	id := alice()
	id.Methods[1].Time = start.Add(10 * time.Minute)
	i := newIssuer(newClock())
	verified, err := i.VerifyAccess(t.Context(), access(t, i, id), []string{origin})
	got := verified.Identity
	if err != nil || !got.AuthTime().Equal(start) {
		t.Errorf("auth time %v, %v; want %v", got.AuthTime(), err, start)
	}
}

// A token that outlived its key would sign people out at each rotation.
func TestAccessTTLIsBounded(t *testing.T) {
	i := newIssuer(newClock())
	i.AccessTTL = maxAccessTTL
	if err := i.Validate(); err != nil {
		t.Error(err)
	}
	i.AccessTTL += time.Second
	if err := i.Validate(); err == nil {
		t.Error("valid beyond the bound")
	}
	if _, _, err := i.Access(t.Context(), origin, []string{origin}, alice()); err == nil {
		t.Error("signed beyond the bound")
	}
}

func TestAMR(t *testing.T) {
	var (
		wallet   = authcore.MethodUse{Method: authcore.Wallet}
		password = authcore.MethodUse{Method: authcore.Password}
		synced   = authcore.MethodUse{Method: authcore.Passkey}
		bound    = authcore.MethodUse{Method: authcore.Passkey, DeviceBound: true}
		verified = authcore.MethodUse{Method: authcore.Passkey, UserVerified: true}
		both     = authcore.MethodUse{Method: authcore.Passkey, UserVerified: true, DeviceBound: true}
	)
	for _, tt := range []struct {
		name string
		uses []authcore.MethodUse
		want []string
	}{
		{"nothing", nil, nil},
		{"unknown", []authcore.MethodUse{{Method: "something new", UserVerified: true, DeviceBound: true}}, nil},
		{"wallet", []authcore.MethodUse{wallet}, []string{"pop"}},
		{"password", []authcore.MethodUse{password}, []string{"pwd"}},
		{"synced passkey", []authcore.MethodUse{synced}, []string{"pop", "swk", "user"}},
		{"passkey of a device", []authcore.MethodUse{bound}, []string{"hwk", "pop", "user"}},
		{"synced passkey, user verified", []authcore.MethodUse{verified}, []string{"mfa", "pop", "swk", "user"}},
		{"passkey of a device, user verified", []authcore.MethodUse{both}, []string{"hwk", "mfa", "pop", "user"}},
		{"wallet and passkey", []authcore.MethodUse{wallet, bound}, []string{"hwk", "pop", "user"}},
		{"password and passkey", []authcore.MethodUse{password, synced}, []string{"mfa", "pop", "pwd", "swk", "user"}},
		{"password and wallet", []authcore.MethodUse{password, wallet}, []string{"mfa", "pop", "pwd"}},
	} {
		if got := AMR(tt.uses); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
