package password

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestSignIn(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	h.now = h.now.Add(time.Hour)
	proof, err := h.SignIn(t.Context(), Try{Email: alice, Password: right})
	if err != nil || proof.UserID != u.ID || proof.Device == "" {
		t.Fatal(proof, err)
	}
	again, err := h.SignIn(t.Context(), Try{Email: alice, Password: right, Device: proof.Device})
	if err != nil || again != proof {
		t.Error("the device token is not kept:", again, err)
	}
	c, err := h.Stores.Credentials.CredentialByKey(t.Context(), authcore.Password, u.ID)
	if err != nil || !c.LastUsed.Equal(h.now) {
		t.Error(c, err)
	}
	if err := h.signIn(t, alice, wrong); !errors.Is(err, ErrInvalidCredentials) {
		t.Error(err)
	}
	if all := h.mails(t); len(all) != 0 {
		t.Errorf("mails %+v", all)
	}
}

func TestStepUp(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	other := h.account(t, mallory, second)
	if err := h.StepUp(t.Context(), u.ID, Try{Password: right}); err != nil {
		t.Error(err)
	}
	// Attack: stepping up in somebody's session with a password of one's own.
	if err := h.StepUp(t.Context(), u.ID, Try{Email: mallory, Password: second}); !errors.Is(err, ErrInvalidCredentials) {
		t.Error(err)
	}
	for _, id := range []string{"nobody", "", h.withoutPassword(t, "w", "").ID} {
		if err := h.StepUp(t.Context(), id, Try{Password: right}); !errors.Is(err, ErrInvalidCredentials) {
			t.Errorf("%q: %v", id, err)
		}
	}
	// It is not another way to guess: sign-in and step-up have one count.
	for range 4 {
		if err := h.StepUp(t.Context(), other.ID, Try{Password: wrong}); errors.Is(err, ErrSuspended) {
			t.Error(err)
		}
	}
	if err := h.signIn(t, mallory, wrong); !errors.Is(err, ErrSuspended) {
		t.Error(err)
	}
	if err := h.StepUp(t.Context(), other.ID, Try{Password: second}); !errors.Is(err, ErrSuspended) {
		t.Error(err)
	}
}

// refusals are the sign-ins that an outsider must not tell apart. Each is one with the right password of somebody, where
// there is one.
func refusals(tb testing.TB, h *house) map[string]Try {
	tb.Helper()
	h.account(tb, alice, right)
	h.account(tb, "suspended@example.com", right)
	h.suspend(tb, "suspended@example.com")
	h.pending(tb, "pending@example.com", right)
	h.withoutPassword(tb, "wallet-user", "wallet@example.com")
	return map[string]Try{
		"wrong":               {Email: alice, Password: wrong},
		"wrong and too long":  {Email: alice, Password: strings.Repeat(right, 1000)},
		"wrong and empty":     {Email: alice},
		"wrong, false device": {Email: alice, Password: wrong, Device: strings.Repeat("A", 64)},
		"unknown":             {Email: "nobody@example.com", Password: right},
		"pending":             {Email: "pending@example.com", Password: right},
		"suspended":           {Email: "suspended@example.com", Password: right},
		"without a password":  {Email: "wallet@example.com", Password: right},
		"no address":          {Email: "not an address", Password: right},
		"empty address":       {Password: right},
		"address too long":    {Email: strings.Repeat("a", 1<<16), Password: right},
	}
}

// Attack: learning from the time a refusal takes who has an account. Equal work is equal time: each refusal does the same
// to the stores, in the same order, and makes one hash of the same cost.
func TestAllRefusalsAreTheSameWork(t *testing.T) {
	h := newHouse(t)
	var costs []parameters
	derive := h.Hasher.derive
	h.Hasher.derive = func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		costs = append(costs, parameters{memory, time, threads})
		if len(salt) != saltSize || size != hashSize || len(password) > 1024 {
			t.Errorf("salt of %d, hash of %d, password of %d", len(salt), size, len(password))
		}
		return derive(password, salt, time, memory, threads, size)
	}
	tries := refusals(t, h)
	costs = nil
	want := []string{"read user", "read credential", "count try", "hash"}
	for name, try := range tries {
		done := h.ledger.during(func() {
			if _, err := h.SignIn(t.Context(), try); !errors.Is(err, ErrInvalidCredentials) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if !slices.Equal(done, want) {
			t.Errorf("%s: %q", name, done)
		}
	}
	for _, cost := range costs {
		if cost != h.Hasher.parameters() {
			t.Errorf("hashed with %+v", cost)
		}
	}
	if len(costs) != len(tries) {
		t.Errorf("%d hashes for %d refusals", len(costs), len(tries))
	}
}

// Attack: enumeration by the try that begins a suspension, which is the only one that writes a mail. It begins after as
// many tries, and writes as much, for accounts and for nobody.
func TestTheLastTryIsTheSameWorkForAll(t *testing.T) {
	h := newHouse(t)
	want := []string{"read user", "read credential", "count try", "hash", "count mail", "seal", "transact", "add mail"}
	for name, try := range refusals(t, h) {
		if name == "suspended" {
			continue
		}
		try.Password = wrong
		if err := h.Attempts.ClearAttempts(t.Context(), accountKey(h.owner(t, alice))); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if _, err := h.SignIn(t.Context(), try); !errors.Is(err, ErrInvalidCredentials) || errors.Is(err, ErrSuspended) {
				t.Errorf("%s: %v", name, err)
			}
		}
		done := h.ledger.during(func() {
			if _, err := h.SignIn(t.Context(), try); !errors.Is(err, ErrSuspended) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if !slices.Equal(done, want) {
			t.Errorf("%s: %q", name, done)
		}
		kind, to := authcore.MailDecoy, ""
		if strings.HasPrefix(name, "wrong") {
			kind, to = authcore.MailSuspended, alice
		}
		h.mail(t, kind, to)
	}
}

func (h *house) owner(tb testing.TB, email string) string {
	tb.Helper()
	u, err := h.Stores.Users.UserByEmail(tb.Context(), email)
	if err != nil {
		tb.Fatal(err)
	}
	return u.ID
}

// Attack: with the answer "suspended" instead of "wrong", guessing could go on: the right one would be told apart.
func TestSuspensionIsNoOracle(t *testing.T) {
	h := newHouse(t)
	h.account(t, alice, right)
	h.suspend(t, alice)
	texts := map[string]bool{}
	for _, password := range []string{right, wrong, right} {
		err := h.signIn(t, alice, password)
		if !errors.Is(err, ErrInvalidCredentials) {
			t.Fatal(err)
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("%v", texts)
	}
}

// Attack: who guesses hangs up while the last try is hashed, so that the owner is told nothing, and the log no refusal.
func TestHangingUpKeepsNoSuspensionFromTheOwner(t *testing.T) {
	h := newHouse(t)
	h.account(t, alice, right)
	for range 4 {
		_ = h.signIn(t, alice, wrong)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	derive := h.Hasher.derive
	h.Hasher.derive = func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		hangUp()
		return derive(password, salt, time, memory, threads, size)
	}
	if _, err := h.SignIn(ctx, Try{Email: alice, Password: wrong, By: about}); !errors.Is(err, ErrSuspended) {
		t.Error(err)
	}
	h.mail(t, authcore.MailSuspended, alice)
}

// The suspension ends when it was said to end, however often somebody tried during it.
func TestSuspensionEnds(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	began := h.now
	for range 5 {
		_ = h.signIn(t, alice, wrong)
	}
	m := h.mail(t, authcore.MailSuspended, alice)
	if !m.Until.Equal(began.Add(15*time.Minute)) || m.Client != about.Client || m.Origin != about.Origin {
		t.Errorf("%+v", m)
	}
	for h.now.Before(began.Add(15*time.Minute - time.Second)) {
		h.now = h.now.Add(30 * time.Second)
		if h.now = minTime(h.now, began.Add(15*time.Minute-time.Second)); h.signIn(t, alice, right) == nil {
			t.Fatalf("let in %s after the suspension began", h.now.Sub(began))
		}
	}
	if until, err := h.Suspended(t.Context(), u.ID); err != nil || !until.Equal(m.Until) {
		t.Error(until, err)
	}
	if all := h.mails(t); len(all) != 0 {
		t.Errorf("further mails during the suspension: %+v", all)
	}
	h.now = began.Add(15 * time.Minute)
	if until, err := h.Suspended(t.Context(), u.ID); err != nil || !until.IsZero() {
		t.Error(until, err)
	}
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func TestSuccessForgetsFailures(t *testing.T) {
	h := newHouse(t)
	h.account(t, alice, right)
	for range 3 {
		for range 4 {
			if err := h.signIn(t, alice, wrong); errors.Is(err, ErrSuspended) {
				t.Fatal(err)
			}
		}
		if err := h.signIn(t, alice, right); err != nil {
			t.Fatal(err)
		}
	}
}

// Attack: one account, many spellings of its address, each with a count of its own.
func TestSpellingsShareOneCount(t *testing.T) {
	h := newHouse(t)
	h.account(t, "alice@xn--mnchen-3ya.example", right)
	for i, spelling := range []string{
		"alice@xn--mnchen-3ya.example", "ALICE@xn--mnchen-3ya.example", "alice@MÜNCHEN.example", "Alice@mu\u0308nchen.EXAMPLE", "aliCe@münchen。example",
	} {
		if err := h.signIn(t, spelling, wrong); errors.Is(err, ErrSuspended) != (i == 4) {
			t.Errorf("%q: %v", spelling, err)
		}
	}
	if err := h.signIn(t, "alice@xn--mnchen-3ya.example", right); !errors.Is(err, ErrSuspended) {
		t.Error(err)
	}
}

// Attack: the owner is shut out by a stranger who does nothing but guess wrong. The browser that signed in before is let
// in; another one of the owner's is not.
func TestStrangersDoNotLockOutAKnownBrowser(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	proof, err := h.SignIn(t.Context(), Try{Email: alice, Password: right})
	if err != nil {
		t.Fatal(err)
	}
	h.suspend(t, alice)
	if err := h.signIn(t, alice, right); !errors.Is(err, ErrSuspended) {
		t.Fatal(err)
	}
	if err := h.StepUp(t.Context(), u.ID, Try{Password: right, Device: proof.Device}); err != nil {
		t.Error(err)
	}
	h.suspend(t, alice)
	if _, err := h.SignIn(t.Context(), Try{Email: alice, Password: right, Device: proof.Device}); err != nil {
		t.Error(err)
	}
	// Success resets: the owner can go to another browser now.
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
}

// Attack: guessing on with a stolen device token. It has as many tries as anybody, and those of all others stay counted.
func TestAKnownBrowserIsLockedOutToo(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	proof, err := h.SignIn(t.Context(), Try{Email: alice, Password: right})
	if err != nil {
		t.Fatal(err)
	}
	try := func(password string) error {
		_, err := h.SignIn(t.Context(), Try{Email: alice, Password: password, Device: proof.Device})
		return err
	}
	for range 5 {
		_ = try(wrong)
	}
	h.mail(t, authcore.MailSuspended, alice)
	if err := try(right); !errors.Is(err, ErrSuspended) {
		t.Fatal(err)
	}
	if until, err := h.Suspended(t.Context(), u.ID); err != nil || !until.IsZero() {
		t.Error("other browsers are suspended too:", until, err)
	}
	// Lifting counts for this browser too.
	if err := h.Lift(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if err := try(right); err != nil {
		t.Error(err)
	}
}

// Attack: device tokens that were not given out for this account and this password, to have more tries, or tries without
// end by a new name each time.
func TestFalseDeviceTokensCountForNothing(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	h.account(t, mallory, second)
	own, err := h.SignIn(t.Context(), Try{Email: mallory, Password: second})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := h.SignIn(t.Context(), Try{Email: alice, Password: right})
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(proof.Device)
	flipped[3] ^= 1
	tokens := []string{
		own.Device, "", strings.Repeat("A", 64), string(flipped), proof.Device[:63], proof.Device + "A", proof.Device + "\n", proof.Device + "=",
		proof.Device[:63] + "\n", strings.Repeat("A", 1<<16), "\x00",
	}
	for i, token := range tokens {
		_, err := h.SignIn(t.Context(), Try{Email: alice, Password: wrong, Device: token})
		if errors.Is(err, ErrSuspended) != (i >= 4) {
			t.Errorf("try %d with %.80q: %v", i+1, token, err)
		}
	}
	if err := h.Lift(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	// A false token is replaced by a good one.
	if again, err := h.SignIn(t.Context(), Try{Email: alice, Password: right, Device: own.Device}); err != nil || again.Device == own.Device {
		t.Error(again, err)
	}
	// Those of an earlier password are false.
	if _, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: second + "!", By: about}); err != nil {
		t.Fatal(err)
	}
	h.suspend(t, alice)
	if _, err := h.SignIn(t.Context(), Try{Email: alice, Password: second + "!", Device: proof.Device}); !errors.Is(err, ErrSuspended) {
		t.Error("a browser that knew the earlier password is let in:", err)
	}
	token, err := h.Device(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.SignIn(t.Context(), Try{Email: alice, Password: second + "!", Device: token}); err != nil || again.Device != token {
		t.Error("the browser that set the password is shut out:", err)
	}
	if _, err := h.Device(t.Context(), "nobody"); !errors.Is(err, authcore.ErrCredentialNotFound) {
		t.Error(err)
	}
}

// Attack: a flood of sign-ins that are never hashed, so that they cost nothing, and yet are counted: the victim would be
// suspended without one guess. What finds no place counts as no try.
func TestABusyHasherSuspendsNobody(t *testing.T) {
	h := newHouse(t)
	h.account(t, alice, right)
	g := newGate(&Hasher{Memory: 8, Time: 1, Parallel: 1, Queue: 1, Wait: time.Hour})
	open, stop := context.WithCancel(t.Context())
	held := make(chan error, 2)
	quickHasher := h.Hasher
	h.Hasher = g.Hasher
	for range 2 {
		go func() {
			_, err := g.Hash(open, "somebody else's")
			held <- err
		}()
	}
	g.waitFor(t, 1, 1)
	for range 20 {
		if err := h.signIn(t, alice, right); !errors.Is(err, ErrBusy) || errors.Is(err, ErrInvalidCredentials) {
			t.Fatal(err)
		}
	}
	close(g.release)
	stop()
	<-held
	<-held
	h.Hasher = quickHasher
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
}

// Parameters that were raised are those of an account from its next sign-in on.
func TestRehashWhenRaised(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	stored := func() record {
		c, err := h.Stores.Credentials.CredentialByKey(t.Context(), authcore.Password, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		r, err := readRecord(c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := stored()
	h.Hasher.Memory, h.Hasher.Time = 16, 2
	_ = h.signIn(t, alice, wrong)
	if got := stored(); got.PHC != before.PHC {
		t.Error("hashed anew at a wrong try")
	}
	proof, err := h.SignIn(t.Context(), Try{Email: alice, Password: right})
	if err != nil {
		t.Fatal(err)
	}
	after := stored()
	if !strings.HasPrefix(after.PHC, "$argon2id$v=19$m=16,t=2,p=1$") || string(after.DeviceSalt) != string(before.DeviceSalt) || !after.Changed.Equal(before.Changed) {
		t.Errorf("%+v", after)
	}
	// The same password, and the same browsers know it.
	again, err := h.SignIn(t.Context(), Try{Email: alice, Password: right, Device: proof.Device})
	if err != nil || again.Device != proof.Device {
		t.Error(err)
	}
	h.Hasher.Memory = 8
	if err := h.signIn(t, alice, right); err != nil || stored().PHC != after.PHC {
		t.Error("hashed anew with less:", err)
	}
}

// Attack: a stored hash that costs gigabytes, or none at all. It is nobody's password, and the operator hears of it.
func TestStoredNonsenseIsNoPassword(t *testing.T) {
	for name, data := range map[string]string{
		"too expensive": `{"phc":"$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		"plain":         `{"phc":"` + right + `"}`, "empty": `{}`, "not JSON": right, "nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			u := h.account(t, alice, right)
			c, err := h.Stores.Credentials.CredentialByKey(t.Context(), authcore.Password, u.ID)
			if err != nil {
				t.Fatal(err)
			}
			c.Data = []byte(data)
			if err := h.Stores.Credentials.UpdateCredential(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			done := h.ledger.during(func() {
				for _, password := range []string{right, "", data} {
					if err := h.signIn(t, alice, password); !errors.Is(err, authcore.ErrUnavailable) || !errors.Is(err, ErrInvalidHash) {
						t.Error(err)
					}
				}
			})
			if count(done, "hash") != 0 {
				t.Error("hashed")
			}
			// The owner of the mailbox gets out of it.
			if _, _, err := h.Reset(t.Context(), Resetting{Key: h.forgot(t, alice), Password: second}); err != nil {
				t.Fatal(err)
			}
			if err := h.signIn(t, alice, second); err != nil {
				t.Error(err)
			}
		})
	}
}

// Attack: the old password wins a race against the reset that was to shut it out. A sign-in that read the old one before
// is refused after.
func TestASignInDuringAResetIsRefused(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	derive := h.Hasher.derive
	changed := false
	h.Hasher.derive = func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		if !changed {
			changed = true
			if _, err := h.Change(t.Context(), Changing{UserID: u.ID, Password: second, By: about}); err != nil {
				t.Error(err)
			}
		}
		return derive(password, salt, time, memory, threads, size)
	}
	if err := h.signIn(t, alice, right); !errors.Is(err, ErrInvalidCredentials) {
		t.Error(err)
	}
	if err := h.signIn(t, alice, second); err != nil {
		t.Error(err)
	}
}

// Attack: after the parameters were raised, a right password costs two hashes. During a suspension that would tell that it
// is the right one.
func TestSuspensionIsNoOracleWhenRaised(t *testing.T) {
	h := newHouse(t)
	h.account(t, alice, right)
	h.suspend(t, alice)
	h.Hasher.Memory = 16
	for _, password := range []string{right, wrong} {
		if done := h.ledger.during(func() { _ = h.signIn(t, alice, password) }); count(done, "hash") != 1 {
			t.Errorf("%q", done)
		}
	}
}

// What no password has is compared with where there is none. Even one that had it would not be let in.
func TestNobodyIsLetInByTheDecoy(t *testing.T) {
	h := newHouse(t)
	h.withoutPassword(t, "w", "wallet@example.com")
	h.Hasher.derive = func(_, _ []byte, _, _ uint32, _ uint8, size uint32) []byte { return make([]byte, size) }
	for _, email := range []string{"nobody@example.com", "wallet@example.com", "no address"} {
		done := h.ledger.during(func() {
			if err := h.signIn(t, email, right); !errors.Is(err, ErrInvalidCredentials) {
				t.Errorf("%s: %v", email, err)
			}
		})
		if count(done, "update credential") != 0 {
			t.Errorf("%s: taken for right: %q", email, done)
		}
	}
}

// A password that is longer than is allowed now is not hashed in part: nobody is let in by what it begins with, nor by it.
func TestAPasswordThatIsTooLongNow(t *testing.T) {
	h := newHouse(t)
	h.MaxLength = 4096
	long := strings.Repeat("kV9#tqLw2.x7 zHw", 100) + right
	h.account(t, alice, long)
	if err := h.signIn(t, alice, long); err != nil {
		t.Fatal(err)
	}
	h.MaxLength = 0
	for _, password := range []string{long, long[:1024], ""} {
		if err := h.signIn(t, alice, password); !errors.Is(err, ErrInvalidCredentials) {
			t.Error(err)
		}
	}
}

func TestDeviceTokensAreForOneUser(t *testing.T) {
	h := newHouse(t)
	r, err := h.newRecord("", h.now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := h.newDevice("u1", r)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.deviceNonce("u1", token); !ok {
		t.Error("refused")
	}
	if _, ok := r.deviceNonce("u2", token); ok {
		t.Error("good for another user, of the same salt")
	}
	if _, ok := (record{}).deviceNonce("u1", token); ok {
		t.Error("good without a salt")
	}
}

func TestLift(t *testing.T) {
	h := newHouse(t)
	u := h.account(t, alice, right)
	h.suspend(t, alice)
	if err := h.Lift(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if until, err := h.Suspended(t.Context(), u.ID); err != nil || !until.IsZero() {
		t.Error(until, err)
	}
	if err := h.signIn(t, alice, right); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"nobody", h.withoutPassword(t, "w", "").ID} {
		if err := h.Lift(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}
