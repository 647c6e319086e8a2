package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// The sign count tells a copied key only where it is a key of one device: synced ones count on each, or not at all.
func TestSignCount(t *testing.T) {
	for _, c := range []struct {
		name       string
		stored, is uint32
		odd        bool
		keeps      uint32
	}{
		{"grows", 5, 6, false, 6},
		{"grows by many", 5, 500, false, 500},
		{"begins to count", 0, 1, false, 1},
		{"never counts", 0, 0, false, 0},
		{"stands still", 5, 5, true, 5},
		{"goes back", 5, 4, true, 5},
		{"stops to count", 5, 0, true, 5},
		{"overflows", 1<<32 - 1, 0, true, 1<<32 - 1},
	} {
		for _, synced := range []bool{false, true} {
			t.Run(c.name+map[bool]string{true: ", synced", false: ""}[synced], func(t *testing.T) {
				h, a := newHouse(t), &passkeytest.Authenticator{Synced: synced}
				a.Twist.AuthData = counted(c.stored)
				stored := h.account(t, a)
				a.Twist.AuthData = counted(c.is)
				done, err := h.signIn(t, a)
				record := h.record(t, stored)
				if record.SignCount != c.keeps && (err == nil) {
					t.Errorf("stored %d, want %d", record.SignCount, c.keeps)
				}
				if c.odd && !synced {
					var counts *SignCountError
					if !errors.As(err, &counts) || !errors.Is(err, ErrInvalidAssertion) || *counts != (SignCountError{"user-a", stored.ID, c.stored, c.is}) {
						t.Errorf("%+v, %v", done, err)
					}
					return
				}
				var want []Event
				if c.odd {
					want = []Event{{SignCountWentBack, c.stored, c.is}}
				}
				if err != nil || !slices.Equal(done.Events, want) || record.SignCountWentBack.IsZero() == c.odd {
					t.Errorf("%+v, %v, %+v", done, err, record)
				}
			})
		}
	}
}

// counted writes a sign count.
func counted(n uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		b[33], b[34], b[35], b[36] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		return b
	}
}

// A warning is of one sign-in: the next good one clears it, and brings no event.
func TestSignCountWarningIsCleared(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{Synced: true}
	a.Twist.AuthData = counted(5)
	stored := h.account(t, a)
	a.Twist.AuthData = counted(3)
	if _, err := h.signIn(t, a); err != nil || !h.record(t, stored).SignCountWentBack.Equal(h.now) {
		t.Fatal(err)
	}
	a.Twist.AuthData = counted(6)
	if done, err := h.signIn(t, a); err != nil || len(done.Events) != 0 || !h.record(t, stored).SignCountWentBack.IsZero() {
		t.Errorf("%+v, %v", done, err)
	}
}

// Whoever copied the key of one device claims with it that it is synced, to come around the sign count.
func TestSignCountAroundByFlag(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	a.Twist.AuthData = counted(5)
	stored := h.account(t, a)
	a.Synced, a.Twist.AuthData = true, counted(5)
	if done, err := h.signIn(t, a); !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
	if h.record(t, stored).Synced() {
		t.Error("the flag was stored")
	}
}

// contested is a store in which others are first.
type contested struct {
	authcore.Credentials
	before func(try int, c authcore.Credential) // runs before an update
	tries  int
}

func (s *contested) UpdateCredential(ctx context.Context, c authcore.Credential) error {
	s.tries++
	s.before(s.tries, c)
	return s.Credentials.UpdateCredential(ctx, c)
}

// Two sign-ins read the same record; the other stores first. What was compared with the old count is compared again.
func TestSignCountRace(t *testing.T) {
	for _, synced := range []bool{false, true} {
		h, a := newHouse(t), &passkeytest.Authenticator{Synced: synced}
		stored := h.account(t, a)
		h.Credentials = &contested{Credentials: h.store, before: func(try int, _ authcore.Credential) {
			if try > 1 {
				return
			}
			// The other: with count 2 as well, from the copy of the key.
			now, err := h.store.CredentialByKey(t.Context(), authcore.Passkey, stored.Key)
			if err != nil {
				t.Fatal(err)
			}
			record := h.record(t, now)
			record.SignCount = 2
			if now.Data, err = json.Marshal(record); err != nil {
				t.Fatal(err)
			}
			if err := h.store.UpdateCredential(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}}
		done, err := h.signIn(t, a)
		if synced && (err != nil || !slices.Equal(done.Events, []Event{{SignCountWentBack, 2, 2}})) || !synced && !errors.Is(err, ErrInvalidAssertion) {
			t.Errorf("synced %t: %+v, %v", synced, done, err)
		}
	}
}

// Names that change meanwhile are kept.
func TestRenamedMeanwhile(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	stored := h.account(t, a)
	h.Credentials = &contested{Credentials: h.store, before: func(try int, c authcore.Credential) {
		if try == 1 {
			c.Name, c.Data = "phone", stored.Data
			if err := h.store.UpdateCredential(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}}
	if done, err := h.signIn(t, a); err != nil || done.Credential.Name != "phone" {
		t.Errorf("%+v, %v", done, err)
	}
	// What comes back is what is stored, version and all: the caller can update it.
	h.Credentials = h.store
	done, err := h.signIn(t, a)
	if err != nil || h.store.UpdateCredential(t.Context(), done.Credential) != nil {
		t.Error(err)
	}
}

func TestDeletedMeanwhile(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	stored := h.account(t, a)
	h.addPasskey(t, &passkeytest.Authenticator{}, stored.UserID)
	h.Credentials = &contested{Credentials: h.store, before: func(int, authcore.Credential) {
		_ = h.store.DeleteCredential(t.Context(), stored.UserID, stored.ID)
	}}
	if done, err := h.signIn(t, a); !errors.Is(err, ErrUnknownCredential) {
		t.Errorf("%+v, %v", done, err)
	}
}

// A record that somebody changes without end.
func TestEndlessConflict(t *testing.T) {
	// The counts that others stored are those of this assertion, so the counter must not matter here.
	h, a := newHouse(t), &passkeytest.Authenticator{Counterless: true, Synced: true}
	h.account(t, a)
	s := &contested{Credentials: h.store, before: func(_ int, c authcore.Credential) {
		if err := h.store.UpdateCredential(t.Context(), c); err != nil {
			t.Error(err)
		}
	}}
	h.Credentials = s
	if done, err := h.signIn(t, a); !errors.Is(err, authcore.ErrUnavailable) || s.tries != maxTries {
		t.Errorf("%d tries: %+v, %v", s.tries, done, err)
	}
}

// Many sign-ins of one passkey at once: of each count one gets in, and the highest is kept.
func TestSignInsAtOnce(t *testing.T) {
	for _, synced := range []bool{true, false} {
		h, a := newHouse(t), &passkeytest.Authenticator{Synced: synced}
		stored := h.account(t, a)
		type try struct {
			begun    Begun
			response []byte
		}
		var tries []try
		for range 12 {
			begun := h.beginAuthentication(t, Authenticating{})
			tries = append(tries, try{begun, get(t, a, begun)})
		}
		var in, odd atomic.Int32
		var wg sync.WaitGroup
		for _, one := range tries {
			wg.Go(func() {
				done, err := h.FinishAuthentication(context.Background(), Authentication{Origin: origin, ChallengeID: one.begun.ChallengeID, Response: one.response})
				var counts *SignCountError
				switch {
				case err == nil && len(done.Events) == 0:
					in.Add(1)
				case err == nil, errors.As(err, &counts):
					odd.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		// The last one is higher than all others, so it always gets in; who loses depends on the order.
		if in.Load() < 1 || in.Load()+odd.Load() != 12 || h.record(t, stored).SignCount != 13 {
			t.Errorf("%d in, %d odd, count %d", in.Load(), odd.Load(), h.record(t, stored).SignCount)
		}
	}
}

// Password managers and phones change the flag after registration, both ways. It locks nobody out, and is recorded.
func TestBackupFlags(t *testing.T) {
	const (
		bound  = 0
		synced = passkeytest.FlagBE
		backed = passkeytest.FlagBE | passkeytest.FlagBS
	)
	for _, c := range []struct {
		name     string
		was, is  byte
		events   []Event
		deviceBd bool
	}{
		{"bound stays bound", bound, bound, nil, true},
		{"backed up stays so", backed, backed, nil, false},
		{"comes into a backup", synced, backed, []Event{{BackupStateChanged, 0, 1}}, false},
		{"taken out of the backup", backed, synced, []Event{{BackupStateChanged, 1, 0}}, false},
		{"becomes eligible", bound, synced, []Event{{BackupEligibilityChanged, 0, 1}}, false},
		{"becomes eligible and backed up", bound, backed, []Event{{BackupEligibilityChanged, 0, 1}, {BackupStateChanged, 0, 1}}, false},
		{"is not eligible any more", backed, bound, []Event{{BackupEligibilityChanged, 1, 0}, {BackupStateChanged, 1, 0}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{}
			a.Twist.AuthData = flags(c.was, 0)
			stored := h.account(t, a)
			a.Twist.AuthData = flags(c.is, 0)
			done, err := h.signIn(t, a)
			if err != nil || !slices.Equal(done.Events, c.events) || done.Evidence.DeviceBound != c.deviceBd {
				t.Fatalf("%+v, %v", done, err)
			}
			record := h.record(t, stored)
			if record.Flags&backed != c.is || record.BackupChanged.IsZero() != (c.events == nil) {
				t.Errorf("%+v", record)
			}
			if done, err := h.signIn(t, a); err != nil || len(done.Events) != 0 {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
}

// Where synced passkeys are forbidden none is registered, none that was registered before signs in, and none becomes
// one later.
func TestForbidSynced(t *testing.T) {
	h := newHouse(t)
	early, late := &passkeytest.Authenticator{Synced: true}, &passkeytest.Authenticator{}
	h.account(t, early)
	h.ForbidSynced = true
	if done, err := h.register(t, &passkeytest.Authenticator{Synced: true}); !errors.Is(err, ErrNotAllowed) || !errors.Is(err, ErrInvalidAttestation) {
		t.Errorf("%+v, %v", done, err)
	}
	stored := h.account(t, late)
	if done, err := h.signIn(t, early); !errors.Is(err, ErrNotAllowed) || !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
	late.Synced = true
	if done, err := h.signIn(t, late); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("%+v, %v", done, err)
	}
	if h.record(t, stored).Synced() {
		t.Error("the flag was stored")
	}
	late.Synced = false
	if _, err := h.signIn(t, late); err != nil {
		t.Error(err)
	}
}

// Who has no valid signature learns nothing of the policies.
func TestPolicyAfterSignature(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{Synced: true}
	h.account(t, a)
	h.ForbidSynced = true
	a.Twist.Signature = flip(20)
	if done, err := h.signIn(t, a); errors.Is(err, ErrNotAllowed) || !errors.Is(err, ErrInvalidAssertion) {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestAAGUIDs(t *testing.T) {
	one, other := AAGUID{1}, AAGUID{2}
	for _, c := range []struct {
		name          string
		allow, refuse []AAGUID
		model         AAGUID
		ok            bool
	}{
		{"no policy", nil, nil, one, true},
		{"allowed", []AAGUID{one}, nil, one, true},
		{"not allowed", []AAGUID{other}, nil, one, false},
		// The library lets zeros pass any list of allowed ones: an authenticator would only have to hide its model.
		{"zeros, not allowed", []AAGUID{other}, nil, AAGUID{}, false},
		{"zeros, allowed", []AAGUID{other, {}}, nil, AAGUID{}, true},
		{"refused", nil, []AAGUID{one}, one, false},
		{"zeros refused", nil, []AAGUID{{}}, AAGUID{}, false},
		{"another refused", nil, []AAGUID{other}, one, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{AAGUID: c.model}
			early := &passkeytest.Authenticator{AAGUID: c.model}
			h.account(t, early)
			h.AllowAAGUIDs, h.RefuseAAGUIDs = c.allow, c.refuse
			done, err := h.register(t, a)
			if (err == nil) != c.ok || !c.ok && (!errors.Is(err, ErrNotAllowed) || !errors.Is(err, ErrInvalidAttestation)) {
				t.Errorf("%+v, %v", done, err)
			}
			in, err := h.signIn(t, early)
			if (err == nil) != c.ok || !c.ok && (!errors.Is(err, ErrNotAllowed) || !errors.Is(err, ErrInvalidAssertion)) {
				t.Errorf("%+v, %v", in, err)
			}
		})
	}
}

// The flag of a record remembers that the user was verified once; a thief of the key has no part in that.
func TestVerificationIsOfThisCeremony(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.UserVerification = VerificationPreferred
	done, err := h.register(t, a)
	if err != nil || done.Evidence != (Evidence{UserVerified: true, DeviceBound: true}) {
		t.Fatalf("%+v, %v", done, err)
	}
	stored := h.keepAccount(t, done)
	for _, unverified := range []bool{true, false, true} {
		a.Unverified = unverified
		in, err := h.signIn(t, a)
		if err != nil || in.Evidence.UserVerified == unverified {
			t.Errorf("%+v, %v", in, err)
		}
		if h.record(t, stored).Flags&passkeytest.FlagUV == 0 {
			t.Error("the record forgot")
		}
	}
	b := &passkeytest.Authenticator{Unverified: true, Synced: true}
	if done, err := h.register(t, b); err != nil || done.Evidence != (Evidence{}) {
		t.Errorf("%+v, %v", done, err)
	}
}

// The octet is stored whole, with bits that have no name yet: booleans would lose them.
func TestFlagsAreStoredWhole(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{Synced: true, BackedUp: true}
	const reserved = 1<<1 | 1<<5
	a.Twist.AuthData = flags(reserved, 0)
	stored := h.account(t, a)
	if got := h.record(t, stored).Flags; got != passkeytest.FlagUP|passkeytest.FlagUV|passkeytest.FlagBE|passkeytest.FlagBS|passkeytest.FlagAT|reserved {
		t.Errorf("%08b", got)
	}
	if _, err := h.signIn(t, a); err != nil {
		t.Fatal(err)
	}
	if got := h.record(t, stored).Flags; got != passkeytest.FlagUP|passkeytest.FlagUV|passkeytest.FlagBE|passkeytest.FlagBS|reserved {
		t.Errorf("%08b", got)
	}
}

// Where no attestation was asked for, one that comes matters as little as none: an expired certificate in it would lock
// its owner out. Where one was asked for it must be good.
func TestAttestation(t *testing.T) {
	good := func(o *passkeytest.AttestationObject) { o.Packed(nil) }
	bad := func(o *passkeytest.AttestationObject) { o.Packed(make([]byte, 70)) }
	for _, c := range []struct {
		name   string
		policy Attestation
		twist  func(*passkeytest.AttestationObject)
		ok     bool
		format string
	}{
		{"none asked, none sent", AttestationNone, nil, true, "none"},
		{"none asked, good sent", AttestationNone, good, true, "none"},
		{"none asked, bad sent", "", bad, true, "none"},
		{"asked, none sent", AttestationDirect, nil, true, "none"},
		{"asked, good sent", AttestationDirect, good, true, "packed"},
		{"asked, bad sent", AttestationDirect, bad, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, a := newHouse(t), &passkeytest.Authenticator{}
			h.Attestation = c.policy
			a.Twist.Attestation = c.twist
			done, err := h.register(t, a)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInvalidAttestation) {
				t.Fatalf("%+v, %v", done, err)
			}
			if err != nil {
				return
			}
			record, err := ReadRecord(done.Credential)
			if err != nil || record.AttestationFormat != c.format || (len(record.Attestation.Object) > 0) != (c.policy == AttestationDirect) {
				t.Errorf("%+v, %v", record, err)
			}
		})
	}
}

func TestRecord(t *testing.T) {
	h := newHouse(t)
	a := &passkeytest.Authenticator{
		AAGUID: AAGUID{1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}, Attachment: "cross-platform", Synced: true,
		Transports: []string{"usb", "cable", "by-pigeon", strings.Repeat("x", 33), "1", "2", "3", "4", "5", "6"},
	}
	h.account(t, &passkeytest.Authenticator{})
	stored := h.account(t, a)
	if stored.Kind != authcore.Passkey || stored.Key != Key(a.Credentials[0].ID) || stored.Name != "laptop" || !stored.Created.Equal(h.now) {
		t.Errorf("%+v", stored)
	}
	r := h.record(t, stored)
	if r.RPID != "app.example.com" || !bytes.Equal(r.PublicKey, a.Credentials[0].Key.COSE()) || r.SignCount != 1 || r.Attachment != "cross-platform" ||
		r.AAGUID.String() != "01020304-0506-0708-0102-030405060708" || !slices.Equal(r.Transports, []string{"usb", "hybrid", "by-pigeon", "1", "2", "3", "4", "5"}) ||
		r.Extensions.RK == nil || !*r.Extensions.RK || !r.Synced() || r.BackedUp() {
		t.Errorf("%+v", r)
	}
	if len(stored.Data) > 600 {
		t.Errorf("%d bytes: %s", len(stored.Data), stored.Data)
	}
	for _, bad := range []authcore.Credential{
		{Kind: authcore.Passkey, Data: nil},
		{Kind: authcore.Passkey, Data: []byte("{}")},
		{Kind: authcore.Wallet, Data: stored.Data},
	} {
		if r, err := ReadRecord(bad); err == nil {
			t.Errorf("%+v", r)
		}
	}
}

func TestParseAAGUID(t *testing.T) {
	const good = "01020304-0506-0708-0102-030405060708"
	if a, err := ParseAAGUID(good); err != nil || a.String() != good {
		t.Errorf("%s, %v", a, err)
	}
	if a, err := ParseAAGUID("EA9B8D66-4D01-1D21-3CE4-B6B48CB575D4"); err != nil || a.String() != "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4" {
		t.Errorf("%s, %v", a, err)
	}
	for _, bad := range []string{"", "x", "01020304050607080102030405060708", good + "0", "{" + good + "}", strings.ReplaceAll(good, "0", "g"), "0102-03040506-0708-0102-030405060708", strings.Repeat("-", 36)} {
		if a, err := ParseAAGUID(bad); err == nil {
			t.Errorf("%q is %s", bad, a)
		}
	}
}

// down is a store that cannot be reached.
type down struct {
	authcore.Challenges
	authcore.Credentials
}

var errDown = errors.New("connection refused")

func (down) CreateChallenge(context.Context, authcore.Challenge, time.Time) error { return errDown }

func (down) ConsumeChallenge(context.Context, [32]byte, authcore.Binding, time.Time) (authcore.Challenge, error) {
	return authcore.Challenge{}, errDown
}

func (down) CredentialByKey(context.Context, authcore.Method, string) (authcore.Credential, error) {
	return authcore.Credential{}, errDown
}

func (down) CredentialsOf(context.Context, string) ([]authcore.Credential, error) {
	return nil, errDown
}

func (down) UpdateCredential(context.Context, authcore.Credential) error { return errDown }

// A store that is down is no verdict, and no sign-in that was not stored.
func TestStoresDown(t *testing.T) {
	unavailable := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, authcore.ErrUnavailable) || errors.Is(err, ErrInvalidAssertion) || errors.Is(err, authcore.ErrChallengeNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.account(t, a)
	challenges, credentials := h.Challenges, h.Credentials
	begun := h.beginAuthentication(t, Authenticating{})
	response := get(t, a, begun)

	h.Challenges = down{}
	_, err := h.BeginAuthentication(t.Context(), Authenticating{Origin: origin})
	unavailable("begin", err)
	_, err = h.BeginRegistration(t.Context(), Registering{Origin: origin, UserID: "user-b", New: true})
	unavailable("begin registration", err)
	_, err = h.finish(t, begun, response)
	unavailable("finish", err)
	_, err = h.FinishRegistration(t.Context(), Registration{Origin: origin})
	unavailable("finish registration", err)

	h.Challenges, h.Credentials = challenges, down{}
	_, err = h.finish(t, begun, response)
	unavailable("lookup", err)
	_, err = h.BeginRegistration(t.Context(), Registering{Origin: origin, UserID: "user-a", Subject: "user-a"})
	unavailable("excluded", err)
	for _, who := range []Authenticating{{Username: "user-a", UserID: "user-a"}, {Username: "nobody"}, {Subject: "user-a", StepUp: true}} {
		who.Origin = origin
		_, err = h.BeginAuthentication(t.Context(), who)
		unavailable("named", err)
	}

	h.Credentials = credentials
	begun = h.beginAuthentication(t, Authenticating{})
	response = get(t, a, begun)
	h.Credentials = halfDown{h.store}
	_, err = h.finish(t, begun, response)
	unavailable("update", err)

	h.Credentials = credentials
	h.Secret = func(context.Context) ([]byte, error) { return nil, errDown }
	_, err = h.BeginAuthentication(t.Context(), Authenticating{Origin: origin, Username: "nobody"})
	unavailable("secret", err)
}

// halfDown reads and does not write.
type halfDown struct{ authcore.Credentials }

func (halfDown) UpdateCredential(context.Context, authcore.Credential) error { return errDown }

// A record that was damaged is a fault of the store, not a verdict on the user.
func TestDamagedRecord(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	stored := h.account(t, a)
	stored.Data = []byte("{}")
	if err := h.store.UpdateCredential(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	if done, err := h.signIn(t, a); !errors.Is(err, authcore.ErrUnavailable) {
		t.Errorf("%+v, %v", done, err)
	}
}

// failing is a source of random bytes that ended.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDown }

func TestNoRandomness(t *testing.T) {
	h := newHouse(t)
	h.Rand = failing{}
	if begun, err := h.BeginAuthentication(t.Context(), Authenticating{Origin: origin}); err == nil {
		t.Errorf("%+v", begun)
	}
	if begun, err := h.BeginRegistration(t.Context(), Registering{Origin: origin, UserID: "u", New: true}); err == nil {
		t.Errorf("%+v", begun)
	}
}
