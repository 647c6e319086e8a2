package authcore

import (
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestValidUsername(t *testing.T) {
	address := "0x52908400098527886e0f7030069857d2e4169ee7"
	for _, c := range []struct {
		name, in string
		want     bool
	}{
		{"letter", "a", true},
		{"digit", "7", true},
		{"all kinds", "a.b_c-9", true},
		{"64", strings.Repeat("a", 64), true},
		{"almost an address: a digit less", address[:41], true},
		{"almost an address: a digit more", address + "0", true},
		{"almost an address: another letter", address[:41] + "g", true},
		{"almost an address: another prefix", "1" + address[1:], true},
		{"empty", "", false},
		{"65", strings.Repeat("a", 65), false},
		{"leading dot", ".a", false},
		{"leading dash", "-a", false},
		{"leading underscore", "_a", false},
		{"upper case", "Alice", false},
		{"space", "a b", false},
		{"line feed", "a\n", false},
		{"slash", "a/b", false},
		{"comma", "a,b", false},
		// Looks like "alice" to people.
		{"Cyrillic letter", "\u0430lice", false},
		{"Kelvin sign, which folds to k", "\u212aate", false},
		{"NUL", "a\x00", false},
		// Whoever chose the name of somebody's wallet or mailbox would be taken for its owner.
		{"address", address, false},
		{"e-mail", "alice@example.com", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ValidUsername(c.in); got != c.want {
				t.Errorf("ValidUsername(%q) is %v", c.in, got)
			}
		})
	}
}

func TestFoldUsername(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "AlIcE": "alice", "Alice@Example.com": "alice@example.com",
		"0x52908400098527886E0F7030069857D2E4169EE7": "0x52908400098527886e0f7030069857d2e4169ee7",
	} {
		if got := FoldUsername(in); got != want {
			t.Errorf("%q folds to %q", in, got)
		}
	}
}

// A challenge is good for what it was issued for, until it expires, and for nothing else.
func TestChallengeCheck(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := Challenge{
		Binding: Binding{Purpose: PurposeWalletSignIn, Origin: "https://app.example.com", Subject: "u1"},
		Client:  "192.0.2.1", Expires: now,
	}
	with := func(change func(*Binding)) Binding { b := c.Binding; change(&b); return b }
	before, after := now.Add(-time.Nanosecond), now.Add(time.Hour)
	for _, tc := range []struct {
		name string
		want Binding
		now  time.Time
		err  error
	}{
		{"as issued", c.Binding, before, nil},
		{"the moment it expires", c.Binding, now, ErrChallengeExpired},
		{"later", c.Binding, after, ErrChallengeExpired},
		{"other purpose", with(func(b *Binding) { b.Purpose = "passkey-sign-in" }), before, ErrChallengeNotFound},
		{"other origin", with(func(b *Binding) { b.Origin = "https://evil.example" }), before, ErrChallengeNotFound},
		{"other port", with(func(b *Binding) { b.Origin += ":8443" }), before, ErrChallengeNotFound},
		{"other subject", with(func(b *Binding) { b.Subject = "u2" }), before, ErrChallengeNotFound},
		{"no subject", with(func(b *Binding) { b.Subject = "" }), before, ErrChallengeNotFound},
		{"nothing", Binding{}, before, ErrChallengeNotFound},
		// "Expired" would tell a stranger that there was one.
		{"other subject, expired", with(func(b *Binding) { b.Subject = "u2" }), after, ErrChallengeNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := c.Check(tc.want, tc.now); !errors.Is(err, tc.err) {
				t.Errorf("%v, want %v", err, tc.err)
			}
		})
	}
	unbound := c
	unbound.Subject = ""
	if err := unbound.Check(c.Binding, before); !errors.Is(err, ErrChallengeNotFound) {
		t.Errorf("issued to nobody, answered by a user: %v", err)
	}
}

func TestHashSecret(t *testing.T) {
	for in, want := range map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	} {
		if h := HashSecret(in); hex.EncodeToString(h[:]) != want {
			t.Errorf("%q: %x", in, h)
		}
	}
}

func TestSessionLive(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name        string
		idle, until time.Duration
		want        bool
	}{
		{"both ahead", time.Nanosecond, time.Nanosecond, true},
		{"idle ends now", 0, time.Hour, false},
		{"idle ended", -time.Hour, time.Hour, false},
		{"absolute end now", time.Hour, 0, false},
		// A session that is used all the time ends nevertheless.
		{"absolute end passed", time.Hour, -time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Session{IdleUntil: now.Add(c.idle), Until: now.Add(c.until)}
			if got := s.Live(now); got != c.want {
				t.Errorf("live: %v", got)
			}
		})
	}
	if (Session{}).Live(now) {
		t.Error("the zero session lives")
	}
}

func TestAuthTime(t *testing.T) {
	early := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	late := early.Add(time.Hour)
	for _, c := range []struct {
		name string
		uses []MethodUse
		want time.Time
	}{
		{"none", nil, time.Time{}},
		{"one", []MethodUse{{Method: Wallet, Time: early}}, early},
		{"the latest last", []MethodUse{{Method: Wallet, Time: early}, {Method: Passkey, Time: late}}, late},
		{"the latest first", []MethodUse{{Method: Passkey, Time: late}, {Method: Wallet, Time: early}}, late},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := (Session{Methods: c.uses}).AuthTime(); !got.Equal(c.want) {
				t.Errorf("session: %s", got)
			}
			if got := (&Identity{Methods: c.uses}).AuthTime(); !got.Equal(c.want) {
				t.Errorf("identity: %s", got)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	for _, c := range []struct {
		use  MethodUse
		want bool
	}{
		{MethodUse{Method: Wallet}, true},
		{MethodUse{Method: Password}, true},
		{MethodUse{Method: Passkey, UserVerified: true}, true},
		{MethodUse{Method: Passkey, DeviceBound: true}, false},
	} {
		if got := c.use.Evidence(); got != c.want {
			t.Errorf("%+v: %v", c.use, got)
		}
	}
}

// A kind that is left out of the list could be written and never asked for.
func TestEventKindsAreAll(t *testing.T) {
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := EventKinds()
	declared := regexp.MustCompile(`(?m)^\tEvent\w+ +EventKind += "(\w+)"`).FindAllSubmatch(source, -1)
	if len(declared) < 25 || len(declared) != len(listed) {
		t.Errorf("%d kinds are declared, %d listed", len(declared), len(listed))
	}
	for _, m := range declared {
		if !slices.Contains(listed, EventKind(m[1])) {
			t.Errorf("%s is not listed", m[1])
		}
	}
}
